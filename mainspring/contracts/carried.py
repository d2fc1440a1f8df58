"""What a run takes with it when it continues as new: everything, so that no older history is ever needed.

It is the first argument of the new execution; the windows of its threads (`steps.Chunk`) are the others.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from mainspring.contracts.run import RunInput, Totals
from mainspring.contracts.steps import RunRef
from mainspring.core.approvals import Decision, Request
from mainspring.core.canonical import Record, Value
from mainspring.core.ledger import Head, Item
from mainspring.core.messages import ToolCall
from mainspring.core.turn import AskPerson, CallModel, CallTool, Compact, Turn


class Held(Record):
    """A command that was not performed yet, or waits for a person: exactly one of these."""

    model: CallModel | None = None
    compact: Compact | None = None
    tool: CallTool | None = None
    ask: AskPerson | None = None

    def at(self, head: Head) -> "Held":
        """The same command for the thread as it is now."""
        update = {"head": head}
        return Held(
            model=self.model and self.model.model_copy(update=update),
            compact=self.compact and self.compact.model_copy(update=update),
            tool=self.tool and self.tool.model_copy(update=update),
            ask=self.ask,
        )


class Talk(Record):
    """One agent invocation under way: its state, the calls of its newest message, what is to be done next."""

    turn: Turn
    calls: tuple[ToolCall, ...] = ()
    held: tuple[Held, ...] = ()
    began: int = 0


def behind(talk: Talk) -> tuple[str, ...]:
    """The digests of what is not in the thread yet, and whose texts only the history holds."""
    return tuple(dict.fromkeys(entry.digest for entry in talk.turn.unread if not entry.text))


def moved(talk: Talk, heads: Mapping[str, Head]) -> Talk:
    """The invocation with the head that its thread has now, where it was made shorter."""
    head = heads.get(talk.turn.thread)
    if head is None:
        return talk
    held = tuple(each.at(head) for each in talk.held)
    return talk.model_copy(update={"turn": talk.turn.model_copy(update={"head": head}), "held": held})


class Settled(Record):
    """A request that was decided, kept so that a late click can be answered in words."""

    request: Request
    decision: Decision


class Unsaid(Record):
    """What was decided, in a sentence, and not told to the channels of the request's route yet."""

    request: Request
    decision: str


class Questions(Record):
    """Requests to people. `fresh` are decisions that the call which asked has not been told yet.

    `asked` counts requests, and `checked` who it was that decided.
    """

    asked: int = 0
    checked: int = 0
    open: tuple[Request, ...] = ()
    settled: tuple[Settled, ...] = ()
    fresh: tuple[Settled, ...] = ()
    unsaid: tuple[Unsaid, ...] = ()


class Exchange(Value):
    """One message of a session and what came of it; `answer` is the reason where it failed. Clients see it whole."""

    message: int
    status: Literal["waiting", "working", "answered", "failed"] = "waiting"
    answer: str = ""


class Letter(Record):
    """A message that waits for its turn."""

    message: int
    text: str


class Mail(Record):
    """A session's messages: those that wait, oldest first, and the newest exchanges."""

    count: int = 0
    backlog: tuple[Letter, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    finishing: bool = False


class Answered(Record):
    """An update that was handled, by its id, with what it gave: the same id again gets the same answer."""

    id: str
    answer: str


class Carried(Record):
    """A run between two executions. `memo` has what a graph's steps gave, by step; `part` counts executions.

    `notes` came before there was an agent to read them.
    """

    carried: Literal[1]
    run: RunRef
    given: RunInput
    spec: Item
    recalled: Item | None = None
    indexed: bool = False
    listed: bool = False
    inbox: str = ""
    part: int = 1
    began: int = 0
    totals: Totals = Totals()
    talks: tuple[Talk, ...] = ()
    questions: Questions = Questions()
    mail: Mail = Mail()
    paused: bool = False
    notes: tuple[str, ...] = ()
    updates: tuple[Answered, ...] = ()
    memo: dict[str, str] = Field(default_factory=dict)
    unknown: dict[str, str] = Field(default_factory=dict)
    slow: tuple[str, ...] = ()
