"""Why a call of the Messages API gave no reply: what the SDK raises and providers say, named.

Also what the SDK may repeat. Left to itself it would send a request again that had timed out, or
whose connection broke within the answer; either may have been billed.
"""

import contextlib
import email.utils
import json
import time
from collections.abc import Sequence
from typing import Any

import anthropic
import httpx2

from agents.assembly import Assembly
from agents.model import CallFailure, ModelError
from population import one_line

_MESSAGE_CHARACTERS = 500
_SECRET_CHARACTERS = 8  # a shorter one is nobody's key, and would blot out words

# Whoever answers so may stand in front of a model that is still writing.
_GATEWAY_TIMEOUTS = (504, 524)

_UNSENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
)

_BY_TYPE = {
    "rate_limit_error": CallFailure.RATE_LIMITED,
    "overloaded_error": CallFailure.OVERLOADED,
    "api_error": CallFailure.SERVER,
    "timeout_error": CallFailure.TIMED_OUT,
    "authentication_error": CallFailure.UNAUTHORISED,
    "permission_error": CallFailure.UNAUTHORISED,
    "billing_error": CallFailure.UNAUTHORISED,
    "invalid_request_error": CallFailure.BAD_REQUEST,
    "not_found_error": CallFailure.BAD_REQUEST,
    "request_too_large": CallFailure.BAD_REQUEST,
}

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


class Failures:
    """Makes a ``ModelError`` of whatever went wrong with calls of ``model``.

    Args:
        model: Name.
        secrets: What must not be shown, should an answer repeat it.
        patience_seconds: Longest ``retry-after`` that is waited for within a call.
    """

    def __init__(self, model: str, secrets: Sequence[str], patience_seconds: float) -> None:
        self._model = model
        self._secrets = [secret for secret in secrets if len(secret) >= _SECRET_CHARACTERS]
        self._patience_seconds = patience_seconds

    def named(
        self,
        kind: CallFailure,
        said: str,
        assembly: Assembly | None = None,
        *,
        retry_after: float | None = None,
    ) -> ModelError:
        """A failure of ``kind``, with what had come of the reply."""
        for secret in self._secrets:
            said = said.replace(secret, "(key)")
        said = one_line(said, _MESSAGE_CHARACTERS).rstrip(".")
        return ModelError(
            f"{self._model} gave no reply ({kind}): {said}. {_WHAT_NEXT[kind]}",
            kind,
            retry_after=retry_after,
            usage=assembly.usage if assembly else None,
            text=assembly.text if assembly else "",
        )

    def of(self, error: Exception, assembly: Assembly | None = None) -> ModelError:
        """What the SDK or the connection raised."""
        if isinstance(error, anthropic.APIStatusError):
            kind = kind_of_status(error.status_code)
            said = f"{error.status_code}: {error.api_message or error.message}"
            return self.named(kind, said, assembly, retry_after=_retry_after(error.response))
        cause = error.__cause__ if isinstance(error, anthropic.APIConnectionError) else error
        said = str(cause or error) or type(cause).__name__
        return self.named(_kind_of_cause(cause), said, assembly)

    def of_event(self, data: str, assembly: Assembly) -> ModelError:
        """An error event: within the message, what was written so far may be billed."""
        try:
            error = json.loads(data)["error"]
            kind, said = kind_of_type(error["type"]), str(error["message"])
        except (ValueError, KeyError, TypeError):
            kind, said = CallFailure.MALFORMED, data
        return self.named(CallFailure.CUT_OFF if assembly.has_begun else kind, said, assembly)

    def once(
        self, request: anthropic.APIRequest, call_next: anthropic.CallNext
    ) -> anthropic.APIResponse[Any]:
        """Middleware of the SDK, around each sending: lets it repeat only what is not billed.

        Raises:
            ModelError: This request is over.
            APIConnectionError: It was never sent; the SDK tries again.
        """
        try:
            response = call_next(request)
        except anthropic.APIConnectionError as error:
            if isinstance(error.__cause__, _UNSENT):
                raise
            raise self.of(error) from None  # a cause that is the SDK's own would be repeated
        except anthropic.AnthropicError:
            raise
        except Exception as error:
            # Before a request is sent, AWS and Google look for credentials, each with errors of
            # packages that need not be installed.
            raise self.named(CallFailure.UNAUTHORISED, f"no credentials: {error}") from error
        wait = _retry_after(response.http_response)
        is_long = wait is not None and wait > self._patience_seconds
        if response.status_code in _GATEWAY_TIMEOUTS or (response.status_code >= 400 and is_long):
            with contextlib.suppress(httpx2.HTTPError):
                response.read()
            kind = kind_of_status(response.status_code)
            raise self.named(kind, f"status {response.status_code}", retry_after=wait)
        return response


def kind_of_type(name: str) -> CallFailure:
    """The class of an error by the provider's name for it."""
    return _BY_TYPE.get(name, CallFailure.SERVER)


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


def _kind_of_cause(cause: BaseException | None) -> CallFailure:
    if isinstance(cause, _UNSENT):
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


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds to wait, as the header says it: a number, or a date."""
    said = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(said))
    except ValueError:
        date = email.utils.parsedate_tz(said)
    return max(0.0, email.utils.mktime_tz(date) - time.time()) if date else None
