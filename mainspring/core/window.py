"""Fits a thread to a context window: what may be left out, and calls that have no answer. Pure.

A message with calls and the answers to them are one piece: a provider refuses the one without the other.
"""

from collections.abc import Iterable, Mapping, Sequence

from mainspring.core.canonical import Value, canonical
from mainspring.core.labels import OURS, Label
from mainspring.core.messages import Done, Message, count_replies, finished_calls
from mainspring.core.spec import Effect

READS_KEPT = 16 * 1024
"""Bytes of results of `read` calls that rules still see after these were left out, the newest first."""


class Cut(Value):
    """Which messages stay: those before `start`, and from `end` on. What is between is left out."""

    start: int
    end: int

    @property
    def left(self) -> int:
        """How many messages are left out."""
        return self.end - self.start


def repaired(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The thread with an answer to each call, right behind the message that made it; answers to no call are dropped.

    A call has no answer where its run failed in the middle and went on with another message.
    """
    made: list[Message] = []
    waiting: dict[str, str] = {}
    for message in messages:
        if message.role == "tool":
            if waiting.pop(message.call, None):
                made.append(message)
            continue
        made.extend(_unanswered(call, tool) for call, tool in waiting.items())
        made.append(message)
        waiting = {call.id: call.name for call in message.calls}
    return (*made, *(_unanswered(call, tool) for call, tool in waiting.items()))


def choose(messages: Sequence[Message], sizes: Sequence[int], room: int) -> Cut:
    """What to leave out so that the rest has at most `room` tokens, if that can be had.

    The opening (all before the first reply, or the note that stands for it) stays if it takes no more than a
    quarter; of the rest the newest pieces that fit do, and in any case the newest one.
    """
    pieces = _pieces(messages)
    replies = (index for index, message in enumerate(messages) if message.role == "assistant" or message.replies)
    first = next(replies, len(messages))
    start = first if sum(sizes[:first]) * 4 <= room else 0
    left = room - sum(sizes[:start])
    end = len(messages)
    for begin, stop in reversed([piece for piece in pieces if piece[0] >= start]):
        left -= sum(sizes[begin:stop])
        if left < 0 and end < len(messages):
            break
        end = begin
    return Cut(start=start, end=max(start, end))


def note(left_out: Sequence[Message], effects: Mapping[str, Effect], label: Label, summary: str = "") -> Message:
    """What stands in the place of messages that were left out, which had this label together.

    It keeps what became of their calls, for the rules: all of those with effects, and the newest reads.
    """
    messages = tuple(left_out)
    said = "Earlier messages were left out here."
    text = f"{said} A summary of them:\n{summary}" if summary else said
    done = _remembered(finished_calls(messages), effects)
    written = "" if label == OURS else str(label)
    return Message(role="note", text=text, replies=count_replies(messages), done=done, label=written)


def transcript(messages: Iterable[Message]) -> str:
    """Messages as text, for a model that is to summarise them."""
    return "\n\n".join(_line(message) for message in messages)


def _pieces(messages: Sequence[Message]) -> list[tuple[int, int]]:
    pieces: list[tuple[int, int]] = []
    for index, message in enumerate(messages):
        if message.role == "tool" and pieces:
            pieces[-1] = (pieces[-1][0], index + 1)
        else:
            pieces.append((index, index + 1))
    return pieces


def _remembered(done: tuple[Done, ...], effects: Mapping[str, Effect]) -> tuple[Done, ...]:
    kept: list[Done] = []
    room = READS_KEPT
    for each in reversed(done):
        if effects.get(each.tool, "once") == "read":
            room -= len(canonical(each.value)) + len(canonical(each.args))
            if room < 0:
                continue
        kept.append(each)
    return tuple(reversed(kept))


def _unanswered(call: str, tool: str) -> Message:
    text = "No result of this call is known: the run went on without it."
    return Message(role="tool", text=text, call=call, tool=tool, status="error")


def _line(message: Message) -> str:
    calls = "".join(f"\n[calls {call.name} with {canonical(call.args)}]" for call in message.calls)
    who = f"{message.role} {message.tool}".strip()
    return f"{who}: {message.text}{calls}"
