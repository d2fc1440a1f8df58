"""The model port over langchain-core's `BaseChatModel`. Activity side; one attempt a call, no retries."""

from typing import TYPE_CHECKING, Any, cast

from mainspring.adapters.chat_model.failures import model_error
from mainspring.adapters.chat_model.messages import calls_of, text_of, to_langchain, tool_schemas
from mainspring.adapters.chat_model.providers import construct
from mainspring.errors import ModelError
from mainspring.ports.model import Model, ModelReply, ModelRequest

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage

CUT_OFF = ("length", "max_tokens", "MAX_TOKENS")
WITHHELD = ("content_filter", "refusal", "SAFETY")


class ChatModel(Model):
    """Any langchain chat model. Make it with `max_retries=0`: the engine owns retries.

    `provider` is the name traces, prices and errors use ("openai", "anthropic", …).
    """

    def __init__(self, chat: "BaseChatModel", *, provider: str) -> None:
        self._chat = chat
        self._provider = provider

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Ask the provider once.

        Raises:
            ModelError: it could not be reached, refused, or its reply was empty or cut off.
        """
        try:
            tools = tool_schemas(request.tools)
            asked = self._chat.bind_tools(tools) if tools else self._chat
            message = await asked.ainvoke(to_langchain(request))
        except Exception as error:
            raise model_error(error, self._provider) from error
        return self._read(message, request)

    def _read(self, message: "AIMessage", request: ModelRequest) -> ModelReply:
        about = cast("dict[str, Any]", message.response_metadata)
        self._refuse_partial(about)
        text, calls = text_of(message, as_json=request.result_schema is not None), calls_of(message)
        if not text and not calls:
            raise ModelError(f"the model of {self._provider!r} gave an empty reply.")
        usage = message.usage_metadata
        return ModelReply(
            text=text,
            calls=calls,
            model=str(about.get("model_name") or about.get("model") or "unknown"),
            provider=self._provider,
            input_tokens=usage["input_tokens"] if usage else 0,
            output_tokens=usage["output_tokens"] if usage else 0,
        )

    def _refuse_partial(self, about: dict[str, Any]) -> None:
        """A reply that stops in the middle may hold half a call; nothing of it is used."""
        ended = about.get("finish_reason") or about.get("stop_reason") or about.get("done_reason")
        if ended in CUT_OFF:
            raise ModelError(
                f"the model of {self._provider!r} was cut off at its output limit. "
                "Ask for less in the instructions, or construct the chat model with a higher max_tokens.",
                retryable=False,
            )
        if ended in WITHHELD:
            raise ModelError(
                f"the provider {self._provider!r} withheld the reply (content filter or refusal: {ended!r}).",
                retryable=False,
            )


def open_model(name: str, timeout: float) -> ChatModel:
    """Make the chat model that `name` (`provider:model`) says; `timeout` in seconds for one request.

    Raises:
        SetupError: unknown provider, its package is not installed, or its key is missing.
    """
    provider, chat = construct(name, timeout)
    return ChatModel(chat, provider=provider)
