"""The model port: anything that can say the next message of a thread."""

from abc import ABC, abstractmethod

from mainspring.core.canonical import Json, Value
from mainspring.core.messages import Message, ToolCall
from mainspring.core.spec import ToolSpec


class ModelRequest(Value):
    """All a model needs for one reply: the thread so far, oldest first, and what it may call.

    Messages whose `label` says `external` were written by others; a language model gets them between marks with the
    word `fence`, which their writers cannot know.
    """

    agent: str
    instructions: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    result_schema: dict[str, Json] | None = None
    playbook: str = ""
    playbook_source: str = ""
    fence: str = ""


class ModelReply(Value):
    """One reply. Tokens are what the provider counted (0 where there is nothing to count).

    `model` is the name the provider gave, `why` explains the choice where the model can (the
    playbook's fired row), without any content of the conversation.
    """

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    model: str
    provider: str
    input_tokens: int = 0
    output_tokens: int = 0
    why: tuple[str, ...] = ()


class Model(ABC):
    """Says the next message. One instance serves many runs at once, so it keeps no state of a run."""

    @abstractmethod
    async def reply(self, request: ModelRequest) -> ModelReply:
        """Answer the newest message, or ask for tool calls.

        Called once per attempt; the engine owns retries, so an implementation must not retry.

        Raises:
            ModelError: it could not be reached or gave nothing usable; `retryable` says whether
                trying again can help.
        """
