"""Which chat model a name means: one row for each provider. Activity side."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from mainspring.adapters.chat_model.limits import Limits
from mainspring.errors import SetupError, did_you_mean

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


class Provider(NamedTuple):
    """A langchain class and what it takes; the package's extra has the provider's name.

    `client` is the module below it that has the class `Timeout`. `key` is the environment variable that holds
    the secret ("" where there is none), and `secret` the attribute that the class reads it into.
    """

    module: str
    chat: str
    client: str
    key: str = ""
    secret: str = ""


PROVIDERS = {
    "anthropic": Provider(
        "langchain_anthropic", "ChatAnthropic", "anthropic", "ANTHROPIC_API_KEY", "anthropic_api_key"
    ),
    "ollama": Provider("langchain_ollama", "ChatOllama", "httpx"),
    "openai": Provider("langchain_openai", "ChatOpenAI", "openai", "OPENAI_API_KEY", "openai_api_key"),
}


class Opened(NamedTuple):
    """A chat model, the name of its provider, and what each call of it takes beside the messages."""

    provider: str
    chat: "BaseChatModel"
    options: dict[str, Any]


def construct(name: str, limits: Limits) -> Opened:
    """The chat model that `name` says, whose client keeps the limits to connect and in total.

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
        timeout = import_module(row.client).Timeout
    except ImportError as error:
        raise SetupError(
            f"model {name!r} needs the package of its provider. Run: pip install 'mainspring[{provider}]'"
        ) from error
    wait = timeout(limits.total, connect=limits.connect)
    made, options = _in_client(wait) if provider == "ollama" else _by_call(chat_class, limits.total, wait)
    try:
        chat: BaseChatModel = chat_class(model=model, **made)
    except Exception as error:
        raise SetupError(f"model {name!r} cannot be set up: {_reason(error, row)}") from error
    # Some providers construct without a key and fail at the first call with a message about headers.
    if row.secret and not _secret(chat, row):
        raise SetupError(f"model {name!r} cannot be set up: {row.key} is not set. Put the provider's key there.")
    return Opened(provider, chat, options)


def _in_client(wait: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ollama's client never retries and takes its time-outs when it is made."""
    return {"client_kwargs": {"timeout": wait}}, {}


def _by_call(chat_class: Any, total: float, wait: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """One attempt. The clients take a number when they are made, and connect and read apart only by call."""
    made: dict[str, Any] = {"timeout": total, "max_retries": 0}
    if "stream_chunk_timeout" in chat_class.model_fields:  # langchain-openai's own limit between two pieces
        made["stream_chunk_timeout"] = None
    return made, {"timeout": wait}


def _secret(chat: "BaseChatModel", row: Provider) -> bool:
    """Whether the class found a key: a pydantic secret, or a function that gives one."""
    value: Any = getattr(chat, row.secret, None)
    return bool(value.get_secret_value()) if hasattr(value, "get_secret_value") else value is not None


def _reason(error: Exception, row: Provider) -> str:
    if row.key and row.key in str(error):
        return f"{row.key} is not set. Put the provider's key there."
    return str(error).splitlines()[0]
