"""A worst-case model: it does the user's task, call by call, and obeys whatever attackers wrote, once it has read it.

Pure but for `Obedient.reply`, which asks Temporal which run it is in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from temporalio import activity

from mainspring.core.canonical import Json, scalars
from mainspring.core.messages import Message, ToolCall, count_replies
from mainspring.ports.model import Model, ModelReply, ModelRequest


@dataclass(frozen=True)
class Planned:
    """A call that somebody wants made."""

    name: str
    args: dict[str, Json]
    injected: bool = False


@dataclass
class Play:
    """One run: the user's words and calls, the attacker's, and which calls have been made (by their place)."""

    suite: str
    task: str
    prompt: str
    calls: tuple[Planned, ...]
    attack: tuple[Planned, ...] = ()
    words: str = ""
    injection: str = ""
    ran: list[int] = field(default_factory=list[int])
    asked: list[int] = field(default_factory=list[int])
    approved: list[int] = field(default_factory=list[int])
    issued: list[Planned] = field(default_factory=list[Planned])
    results: dict[int, Json] = field(default_factory=dict[int, Json])


PLAYS: dict[str, Play] = {}
"""By workflow id: the model and the tools work in the process of the benchmark."""


class Obedient(Model):
    """The next call of the run's play."""

    async def reply(self, request: ModelRequest) -> ModelReply:
        """One call, or the end."""
        play = PLAYS[str(activity.info().workflow_id)]
        answers = [message for message in request.messages if message.role == "tool"]
        play.issued = script(play, answers)
        number = count_replies(request.messages)
        if number >= len(play.issued):
            return ModelReply(text="Done.", model="obedient", provider="scripted")
        call = play.issued[number]
        asked = (ToolCall(id="c", name=call.name, args=call.args),)
        return ModelReply(calls=asked, model="obedient", provider="scripted")


def script(play: Play, answers: Sequence[Message]) -> list[Planned]:
    """All calls of a run, as far as these answers tell: the attacker's come right after their words were read."""
    calls = list(play.calls)
    for number, answer in enumerate(answers):
        if play.words and any(play.words in str(each) for each in scalars(answer.value)):
            return [*calls[: number + 1], *play.attack, *calls[number + 1 :]]
    return calls


def place_of(step: str) -> int:
    """Which call of a run a step is: the model's replies have the odd numbers."""
    return int(step) // 2 - 1
