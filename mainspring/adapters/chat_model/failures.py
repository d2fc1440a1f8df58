"""What an exception of a provider's client means for the run. Activity side, no I/O."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, cast

from mainspring.adapters.chat_model.limits import Limits
from mainspring.adapters.chat_model.providers import PROVIDERS
from mainspring.errors import ModelError

RETRYABLE = (408, 409, 425, 429)
LONGEST = 300
"""Characters of a provider's own words that are kept."""


def model_error(error: Exception, provider: str, limits: Limits | None = None) -> ModelError:
    """The same failure in our words; by status where the provider answered, else by kind.

    No client's exception class is named here: they all carry `status_code`, and the rest is transport.
    `limits` are those the client was given, where it was given any.
    """
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return _answered(error, status, provider)
    if isinstance(error, NotImplementedError):
        return ModelError(
            f"the chat model of {provider!r} cannot call tools. Choose a model that can.", retryable=False
        )
    kinds = [type(one).__name__ for one in _causes(error)]
    if "ConnectTimeout" in kinds:
        within = f" within {limits.connect:g} s" if limits else " in time"
        return ModelError(f"the provider {provider!r} could not be reached{within} (connect time-out).")
    if "timeout" in kinds[0].lower():
        return ModelError(f"the provider {provider!r} did not answer in time.")
    return ModelError(f"the provider {provider!r} could not be used: {type(error).__name__}: {_words(error)}")


def _causes(error: BaseException) -> list[BaseException]:
    """The error and those it was raised from: a provider's client wraps what its transport says."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) and cause not in causes:
        causes.append(cause)
    return causes


def _answered(error: Exception, status: int, provider: str) -> ModelError:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        # The provider's own words may repeat part of the key.
        key = PROVIDERS[provider].key if provider in PROVIDERS else ""
        fix = f"Set {key} to a key that may use this model." if key else "Check its credentials."
        return ModelError(f"the provider {provider!r} refused the key (HTTP {status}). {fix}", retryable=False)
    if getattr(error, "code", None) == "insufficient_quota":
        return ModelError(f"the account at {provider!r} has no quota left. Raise it there.", retryable=False)
    retryable = status in RETRYABLE or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    message = f"the provider {provider!r} answered HTTP {status}: {_words(error)}"
    return ModelError(message, retryable=retryable, retry_after=_retry_after(error) if retryable else None)


def _words(error: Exception) -> str:
    """What the provider says, shortened: its `message` in the body, else the first line of the exception."""
    body = getattr(error, "body", None)
    if isinstance(body, Mapping):
        fields = cast("Mapping[str, Any]", body)
        inner = fields.get("error", fields)
        message = cast("Mapping[str, Any]", inner).get("message") if isinstance(inner, Mapping) else inner
        if isinstance(message, str) and message:
            return message[:LONGEST]
    return (str(error).splitlines() or ["no reason given"])[0][:LONGEST]


def _retry_after(error: Exception) -> float | None:
    """Seconds to wait, from the header `Retry-After` (seconds or a date)."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    text = cast("Mapping[str, str]", headers).get("retry-after", "") if isinstance(headers, Mapping) else ""
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
