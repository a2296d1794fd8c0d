"""Why a call over HTTP gave no reply, whoever was asked: classes, words, what may be repeated.

Left to themselves the SDKs would send a request again that had timed out, or whose connection broke
within the answer; either may have been billed.
"""

import email.utils
import time
from collections.abc import Mapping, Sequence

import httpx2

from agents.model import CallFailure, ModelError, Usage
from population import one_line

#: Errors of the connection after which nothing can have been billed.
UNSENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
)

_KEY_HEADERS = ("authorization", "x-api-key", "api-key", "proxy-authorization")
_MESSAGE_CHARACTERS = 500
_SECRET_CHARACTERS = 8  # a shorter one is nobody's key, and would blot out words
# Whoever answers so may stand in front of a model that is still writing.
_GATEWAY_TIMEOUTS = (504, 524)

_WHAT_NEXT = {
    CallFailure.RATE_LIMITED: "Lower the calls in flight, or raise the account's limit.",
    CallFailure.OVERLOADED: "It passes by itself.",
    CallFailure.SERVER: "It passes by itself; if not, see the provider's status page.",
    CallFailure.UNREACHABLE: "Check the network, the proxy and base_url.",
    CallFailure.TIMED_OUT: "It is not asked again, because it may have been billed.",
    CallFailure.CUT_OFF: "It is not asked again, because it may have been billed.",
    CallFailure.MALFORMED: "It is not asked again, because it was billed. Check base_url.",
    CallFailure.BAD_REQUEST: "Check the model's name and the settings that it takes.",
    CallFailure.UNAUTHORISED: "Check the key in the environment, its rights and its credit.",
}


class Teller:
    """Puts failures of calls of ``model`` into words.

    Args:
        model: Name.
        secrets: What must not be shown, should an answer repeat it.
    """

    def __init__(self, model: str, secrets: Sequence[str]) -> None:
        self._model = model
        self._secrets = [secret for secret in secrets if len(secret) >= _SECRET_CHARACTERS]

    def error(
        self,
        kind: CallFailure,
        said: str,
        *,
        retry_after: float | None = None,
        usage: Usage | None = None,
        text: str = "",
    ) -> ModelError:
        """A failure of ``kind``; ``usage`` and ``text`` are what had come of the reply."""
        for secret in self._secrets:
            said = said.replace(secret, "(key)")
        said = one_line(said, _MESSAGE_CHARACTERS).rstrip(".")
        return ModelError(
            f"{self._model} gave no reply ({kind}): {said}. {_WHAT_NEXT[kind]}",
            kind,
            retry_after=retry_after,
            usage=usage,
            text=text,
        )


def kind_of_status(status: int) -> CallFailure:
    """The class of an error by its status of HTTP, 400 or above."""
    match status:
        case 401 | 402 | 403:
            return CallFailure.UNAUTHORISED
        case 429:
            return CallFailure.RATE_LIMITED
        case 529:
            return CallFailure.OVERLOADED
        case _ if status in _GATEWAY_TIMEOUTS:
            return CallFailure.TIMED_OUT
        case 408 | 409:
            return CallFailure.SERVER
    return CallFailure.SERVER if status >= 500 else CallFailure.BAD_REQUEST


def kind_of_cause(cause: BaseException | None) -> CallFailure:
    """The class of what a connection raised."""
    if isinstance(cause, UNSENT):
        return CallFailure.UNREACHABLE
    if type(cause) is RuntimeError:  # the client has been closed
        return CallFailure.UNREACHABLE
    if isinstance(cause, httpx2.TimeoutException):
        return CallFailure.TIMED_OUT
    if isinstance(cause, httpx2.DecodingError | ValueError):
        return CallFailure.MALFORMED
    if isinstance(cause, httpx2.HTTPError | httpx2.StreamError | OSError):
        return CallFailure.CUT_OFF
    # A platform's credentials are looked for at the first call.
    return CallFailure.UNAUTHORISED


def is_final(response: httpx2.Response, patience_seconds: float) -> bool:
    """True for an answer that an SDK must not ask again: billed perhaps, or it would wait long."""
    wait = retry_after(response)
    is_long = wait is not None and wait > patience_seconds
    return response.status_code in _GATEWAY_TIMEOUTS or (response.status_code >= 400 and is_long)


def retry_after(response: httpx2.Response) -> float | None:
    """Seconds to wait, as the header says it: a number, or a date; None if unsaid."""
    said = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(said))
    except ValueError:
        date = email.utils.parsedate_tz(said)
    return max(0.0, email.utils.mktime_tz(date) - time.time()) if date else None


def planted_key(headers: Mapping[str, str]) -> str | None:
    """A header that carries a key, and so must not stand in settings; None if there is none."""
    return next((name for name in sorted(headers) if name.lower() in _KEY_HEADERS), None)
