"""Why a call of the Messages API gave no reply: what the SDK raises and providers say, named.

Also what the SDK may repeat. What holds of every provider is in ``agents.http_failures``.
"""

import contextlib
from collections.abc import Sequence
from typing import Any, cast

import anthropic
import httpx2

from agents.assembly import Assembly
from agents.http_failures import (
    UNSENT,
    Teller,
    is_final,
    kind_of_cause,
    kind_of_status,
    retry_after,
)
from agents.model import CallFailure, ModelError
from agents.nesting import read_json

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


class Failures:
    """Makes a ``ModelError`` of whatever went wrong with calls of ``model``.

    Args:
        model: Name.
        secrets: What must not be shown, should an answer repeat it.
        patience_seconds: Longest ``retry-after`` that is waited for within a call.
    """

    def __init__(self, model: str, secrets: Sequence[str], patience_seconds: float) -> None:
        self._teller = Teller(model, secrets)
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
        return self._teller.error(
            kind,
            said,
            retry_after=retry_after,
            usage=assembly.usage if assembly else None,
            text=assembly.text if assembly else "",
        )

    def of(self, error: Exception, assembly: Assembly | None = None) -> ModelError:
        """What the SDK or the connection raised."""
        if isinstance(error, anthropic.APIStatusError):
            kind = kind_of_status(error.status_code)
            said = f"{error.status_code}: {error.api_message or error.message}"
            return self.named(kind, said, assembly, retry_after=retry_after(error.response))
        cause = error.__cause__ if isinstance(error, anthropic.APIConnectionError) else error
        said = str(cause or error) or type(cause).__name__
        return self.named(kind_of_cause(cause), said, assembly)

    def of_event(self, data: str, assembly: Assembly) -> ModelError:
        """An error event: within the message, what was written so far may be billed."""
        try:
            error = cast("Any", read_json(data))["error"]
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
            if isinstance(error.__cause__, UNSENT):
                raise
            raise self.of(error) from None  # a cause that is the SDK's own would be repeated
        except anthropic.AnthropicError:
            raise
        except Exception as error:
            # Before a request is sent, AWS and Google look for credentials, each with errors of
            # packages that need not be installed.
            raise self.named(CallFailure.UNAUTHORISED, f"no credentials: {error}") from error
        if is_final(response.http_response, self._patience_seconds):
            wait = retry_after(response.http_response)
            with contextlib.suppress(httpx2.HTTPError):
                response.read()
            kind = kind_of_status(response.status_code)
            raise self.named(kind, f"status {response.status_code}", retry_after=wait)
        return response


def kind_of_type(name: str) -> CallFailure:
    """The class of an error by the provider's name for it."""
    return _BY_TYPE.get(name, CallFailure.SERVER)
