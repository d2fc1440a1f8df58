"""Which chat model a name means: one row for each provider. Activity side."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from mainspring.errors import SetupError, did_you_mean

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


class Provider(NamedTuple):
    """A langchain class and what it takes; the package's extra has the provider's name.

    `key` is the environment variable that holds the secret ("" where there is none), and
    `secret` the attribute that the class reads it into.
    """

    module: str
    chat: str
    key: str = ""
    secret: str = ""


PROVIDERS = {
    "anthropic": Provider("langchain_anthropic", "ChatAnthropic", "ANTHROPIC_API_KEY", "anthropic_api_key"),
    "ollama": Provider("langchain_ollama", "ChatOllama"),
    "openai": Provider("langchain_openai", "ChatOpenAI", "OPENAI_API_KEY", "openai_api_key"),
}


def construct(name: str, timeout: float) -> "tuple[str, BaseChatModel]":
    """The provider's name and the chat model that `name` says; `timeout` in seconds.

    Raises:
        SetupError: unknown provider, its package is not installed, or its key is missing.
    """
    provider, _, model = name.partition(":")
    if not model:
        raise SetupError(
            f"model {name!r} does not name provider and model. Write for example 'openai:{name or 'gpt-…'}'."
        )
    if provider not in PROVIDERS:
        raise SetupError(f"model {name!r}: there is no provider {provider!r}.{did_you_mean(provider, PROVIDERS)}")
    row = PROVIDERS[provider]
    try:
        chat_class = getattr(import_module(row.module), row.chat)
    except ImportError as error:
        raise SetupError(
            f"model {name!r} needs the package of its provider. Run: pip install 'mainspring[{provider}]'"
        ) from error
    try:
        chat: BaseChatModel = chat_class(model=model, **_limits(provider, timeout))
    except Exception as error:
        raise SetupError(f"model {name!r} cannot be set up: {_reason(error, row)}") from error
    # Some providers construct without a key and fail at the first call with a message about headers.
    if row.secret and not _secret(chat, row):
        raise SetupError(f"model {name!r} cannot be set up: {row.key} is not set. Put the provider's key there.")
    return provider, chat


def _limits(provider: str, timeout: float) -> dict[str, Any]:
    """One attempt, within `timeout`. Ollama's client never retries and hides its time-out one level down."""
    return {"client_kwargs": {"timeout": timeout}} if provider == "ollama" else {"timeout": timeout, "max_retries": 0}


def _secret(chat: "BaseChatModel", row: Provider) -> bool:
    """Whether the class found a key: a pydantic secret, or a function that gives one."""
    value: Any = getattr(chat, row.secret, None)
    return bool(value.get_secret_value()) if hasattr(value, "get_secret_value") else value is not None


def _reason(error: Exception, row: Provider) -> str:
    if row.key and row.key in str(error):
        return f"{row.key} is not set. Put the provider's key there."
    return str(error).splitlines()[0]
