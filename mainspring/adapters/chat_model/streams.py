"""One reply of a langchain chat model, streamed or at once, within its limits. Activity side."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from mainspring.adapters.chat_model.limits import Limits, Wait
from mainspring.adapters.chat_model.messages import whole

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
    from langchain_core.runnables import Runnable

    Asked: TypeAlias = Runnable[LanguageModelInput, AIMessage]


def streams(chat: "BaseChatModel", *, tools: bool) -> bool:
    """Whether the reply comes in pieces: the class can, and whoever made it did not switch it off."""
    from langchain_core.language_models import BaseChatModel

    # The two methods that langchain documents to be overridden by a class that streams.
    can = any(getattr(type(chat), name) is not getattr(BaseChatModel, name) for name in ("_stream", "_astream"))
    off = chat.disable_streaming is True or (chat.disable_streaming == "tool_calling" and tools)
    refused = "streaming" in chat.model_fields_set and not getattr(chat, "streaming", True)
    return can and not off and not refused


async def stream(
    asked: "Asked", sent: "Sequence[BaseMessage]", options: Mapping[str, Any], limits: Limits, provider: str
) -> "AIMessage":
    """The reply, put together from its pieces.

    Raises:
        ModelError: nothing came for longer than a limit allows.
    """
    clock = asyncio.get_running_loop().time
    wait = Wait(limits, clock())
    pieces: list[AIMessageChunk] = []
    limit = asyncio.timeout_at(wait.until)
    try:
        async with limit, aclosing(cast("AsyncGenerator[AIMessageChunk]", asked.astream(sent, **options))) as source:
            async for piece in source:
                pieces.append(piece)
                wait.hear(clock(), content=bool(piece.content or piece.tool_call_chunks))
                limit.reschedule(wait.until)
    except TimeoutError as error:
        if limit.expired():
            raise wait.over(provider) from error
        raise
    return whole(pieces)


async def at_once(
    asked: "Asked", sent: "Sequence[BaseMessage]", options: Mapping[str, Any], limits: Limits, provider: str
) -> "AIMessage":
    """The reply of a chat model that does not stream.

    Raises:
        ModelError: it took longer than the total time-out.
    """
    whole_call = Limits(total=limits.total)
    wait = Wait(whole_call, asyncio.get_running_loop().time())
    limit = asyncio.timeout_at(wait.until)
    try:
        async with limit:
            return await asked.ainvoke(sent, **options)
    except TimeoutError as error:
        if limit.expired():
            raise wait.over(provider) from error
        raise
