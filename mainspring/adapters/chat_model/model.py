"""The model port over langchain-core's `BaseChatModel`. Activity side; one attempt a call, no retries."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from mainspring.adapters.chat_model.failures import model_error
from mainspring.adapters.chat_model.limits import USUAL, Limits, limits_of
from mainspring.adapters.chat_model.messages import calls_of, text_of, to_langchain, tool_schemas
from mainspring.adapters.chat_model.providers import construct
from mainspring.adapters.chat_model.streams import at_once, stream, streams
from mainspring.errors import ModelError
from mainspring.ports.model import Model, ModelReply, ModelRequest

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage

CUT_OFF = ("length", "max_tokens", "max_output_tokens", "MAX_TOKENS")
WITHHELD = ("content_filter", "refusal", "SAFETY")


class ChatModel(Model):
    """Any langchain chat model. Make it with `max_retries=0`: the engine owns retries.

    `provider` is the name traces, prices and errors use ("openai", "anthropic", …). `limits` are those of one call, the
    usual ones of the provider where they are left out; `options` go to the chat model with each call.

    Replies are streamed, so that a provider that falls silent is noticed early, and used when they are whole. A chat
    model that cannot stream, or is told not to (`disable_streaming=True`), has the total time-out alone.
    """

    def __init__(
        self,
        chat: "BaseChatModel",
        *,
        provider: str,
        limits: Limits | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if (
            getattr(chat, "stream_usage", False) is None
        ):  # the class can count the tokens of a stream; nobody said whether
            chat = chat.model_copy(update={"stream_usage": True})
        self._chat = chat
        self._provider = provider
        # The engine holds an agent's `model_timeout` itself, which is not known here.
        self._limits = limits or limits_of(provider, USUAL)._replace(total=math.inf)
        self._options = dict(options or {})

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Ask the provider once.

        Raises:
            ModelError: it could not be reached, was silent for too long, refused, or its reply was empty or cut off.
        """
        try:
            tools = tool_schemas(request.tools)
            asked = self._chat.bind_tools(tools) if tools else self._chat
            sent = to_langchain(request)
            if streams(self._chat, tools=bool(tools)):
                message = await stream(asked, sent, self._options, self._limits, self._provider)
            else:
                message = await at_once(asked, sent, self._options, self._limits, self._provider)
        except ModelError:
            raise
        except Exception as error:
            raise model_error(error, self._provider, self._limits) from error
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
        if unfinished := about.get("incomplete_details"):  # OpenAI's Responses API
            ended = cast("dict[str, Any]", unfinished).get("reason")
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
    """Make the chat model that `name` (`provider:model`) says; `timeout` in seconds for one whole reply.

    Raises:
        SetupError: unknown provider, its package is not installed, or its key is missing.
    """
    limits = limits_of(name.partition(":")[0], timeout)
    opened = construct(name, limits)
    return ChatModel(opened.chat, provider=opened.provider, limits=limits, options=opened.options)
