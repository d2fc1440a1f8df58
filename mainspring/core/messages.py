"""What people, models and tools say to one another in one thread."""

from typing import Literal

from mainspring.core.canonical import Json, Value, read_json

Role = Literal["user", "assistant", "tool", "note"]
Status = Literal["ok", "error", "denied"]


RECALLED = "What is known of this user from earlier runs, newest first:"
"""How the note begins that holds what memory recalled."""


class ToolCall(Value):
    """One call a model asks for. `id` is unique in its message only (providers reuse theirs)."""

    id: str
    name: str
    args: dict[str, Json]


class Message(Value):
    """One message of a thread.

    `user` and `assistant` are the two speakers; `tool` answers the call `call` of the newest
    assistant message and holds the result as JSON text (`status` tells how it went); `note` is
    said by the engine: recalled memory, a request to repair a reply, what a person adds, what was left out when a
    thread was made shorter (then `replies` counts the assistant's messages among that, and `done` keeps what
    became of their calls).

    `label` (see `core.labels`) stands where it does not follow from the role and the tool. Of a tool, `ran` stands with
    the status `error` where it did its work all the same, and only its result is not here, and `args` is what it ran
    with, where a person changed the call.
    """

    role: Role
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    call: str = ""
    tool: str = ""
    status: Status = "ok"
    replies: int = 0
    done: tuple["Done", ...] = ()
    label: str = ""
    ran: bool = False
    args: dict[str, Json] | None = None

    @property
    def value(self) -> Json:
        """The JSON value of a tool result; its text where it is not JSON, or deeper than a result may be."""
        try:
            return read_json(self.text)
        except ValueError:
            return self.text


class Done(Value):
    """A tool call of this thread that has ended, as rules and playbooks see it.

    `ran` tells of one with the status `error` that it did its work all the same.
    """

    tool: str
    args: dict[str, Json]
    value: Json
    status: Status
    ran: bool = False


def finished_calls(messages: tuple[Message, ...]) -> tuple[Done, ...]:
    """Pair each tool message with the call it answers, oldest first."""
    asked: dict[str, ToolCall] = {}
    done: list[Done] = []
    for message in messages:
        done.extend(message.done)
        if message.role == "assistant":
            asked = {call.id: call for call in message.calls}
        elif message.role == "tool" and message.call in asked:
            call = asked[message.call]
            done.append(
                Done(
                    tool=call.name,
                    args=call.args if message.args is None else message.args,
                    value=message.value,
                    status=message.status,
                    ran=message.ran,
                )
            )
    return tuple(done)


def count_replies(messages: tuple[Message, ...]) -> int:
    """How often the assistant has spoken in this thread, also in what was left out of it since."""
    return sum((message.role == "assistant") + message.replies for message in messages)


Message.model_rebuild()
