"""Approvals: what a person is asked, what they may answer, and the permit that comes of it.

Pure: the workflow side (`durable.approvals`) owns handlers and timers, and `core.deciding` says what comes of what.
Four kinds of request: `approval` (may this call run?), `review` (may this answer be given?), `question` (an agent asks
a person) and `outcome` (a `once` call ended without a known result: did it happen?).
"""

import re
from typing import Literal

from pydantic import Field

from mainspring.core.canonical import Json, Record, Value, canonical, digest
from mainspring.core.routes import Route

Kind = Literal["approval", "review", "question", "outcome"]
Choice = Literal[
    "approve", "deny", "stop", "take over", "answer", "expired", "playbook", "happened", "not happened", "give up"
]  # fmt: skip
How = Literal["unverified", "claimed", "verified"]
Stage = Literal["asked", "reminded", "escalated", "handed over"]


class Verified(Value):
    """Whom a token speaks for: the person, their roles, who vouches for it, and the token's own id."""

    person: str
    roles: tuple[str, ...] = ()
    issuer: str = ""
    token: str = ""


class Identity(Record):
    """Who decides, and how that is known.

    `by` is who says so: `Web UI`, a client (`temporal-cli`), or an issuer of tokens. `names` are all names that count
    for a route: the person, groups and roles, and those of people they decide for, who are `stands_for`. `token` is
    the id of the token.
    """

    person: str = ""
    how: How = "unverified"
    by: str = "Web UI"
    names: tuple[str, ...] = ()
    stands_for: tuple[str, ...] = ()
    token: str = ""

    @property
    def words(self) -> str:
        """As a trace and a card say it: `verified: ada@example.com via https://login.example.com`."""
        if self.how == "verified":
            return f"verified: {self.person} via {self.by}"
        return f"claimed: {self.by}:{self.person}" if self.person else f"unverified: {self.by}"


class Vote(Record):
    """What one person said to a request. `update` is the update they said it with, `at` seconds since 1970."""

    identity: Identity
    choice: Choice
    update: str = ""
    at: float = 0.0


class Routed(Record):
    """The route that a request goes, with its moments (seconds since 1970, 0 for never) as working hours make them."""

    route: str
    remind: float = 0.0
    escalate: float = 0.0
    deadline: float = 0.0
    handed_for: float = 0.0
    """Seconds on the clock that those have whom it is handed over to."""
    at: float = 0.0
    """When that was worked out; 0 where it is not known."""


class Request(Value):
    """One question to a person. `id` counts from 1 within the run; times are seconds since 1970.

    `step` is the step it holds up; `about` says what the tool does, in its author's words; `args` are the
    arguments as shown, bound by `args_digest`. Under review it is `tool` "answer" (or a node's name), and `typed` where
    it has a type. `input_schema` is what other arguments must fit, and `answer_schema` an answer of a person's own,
    where it has a type. `choices` are answers that a question lists. A person may finish the conversation where
    `can_take_over`.

    `route` says who may decide, where that is not everybody; `stage` how far it has come, `remind` and `escalate` when
    it goes on (0: not any more), `handed_for` how many seconds those have whom it is handed over to, `votes` who has
    agreed, and `spent` the tokens of those who had before it was handed over. `binding` is what a token must name to
    decide it, made with the id of the execution that asked (`minted`; of the first one where that is ""). `proposed`
    are the arguments as the agent gave them, where somebody who agreed has changed them. `told` is the last occasion
    on which channels were told.
    """

    id: str
    kind: Kind
    step: str
    agent: str
    tool: str
    about: str = ""
    args: dict[str, Json]
    args_digest: str
    rule: str
    reason: str
    asked: float
    deadline: float
    deny_reasons: tuple[str, ...] = ()
    typed: bool = False
    input_schema: dict[str, Json] = Field(default_factory=dict[str, Json])
    answer_schema: dict[str, Json] = Field(default_factory=dict[str, Json])
    choices: tuple[str, ...] = ()
    can_take_over: bool = False
    route: Route | None = None
    stage: Stage = "asked"
    remind: float = 0.0
    escalate: float = 0.0
    handed_for: float = 0.0
    votes: tuple[Vote, ...] = ()
    binding: str = ""
    minted: str = ""
    proposed: dict[str, Json] | None = None
    told: str = ""
    spent: tuple[str, ...] = ()


class Decision(Value):
    """What was decided. `reason` is what the model and the trace read; `update` names the update that did it.

    `answer` is what a person made of an answer under review ("": it is given as it is), said to a question, or finished
    the conversation with; `args` what they made of a call's arguments (None: it runs with its own). `votes` are those
    who decided, where a route asks who.
    """

    request: str
    choice: Choice
    reason: str = ""
    update: str = ""
    decided: float = 0.0
    answer: str = ""
    args: dict[str, Json] | None = None
    votes: tuple[Vote, ...] = ()


class Permit(Record):
    """Leave for exactly one step: bound to tool, arguments and policy; consumed by the dispatch gate.

    `source` is the rule engine or a person (then `request` names the request). `expires` is seconds
    since 1970, 0 for a permit a rule gave. `number` grows with each permit for the same step: a tool can
    refuse a smaller one than it has seen (a fence against a first call that comes late). `args` are what the call runs
    with, where a person changed that, and `route` is the route ("" for none) by which they may: where the changed call
    goes another, it is asked about once more. None was not recorded.
    """

    step: str = ""
    tool: str = ""
    args_digest: str = ""
    policy: str = ""
    source: Literal["rule", "person"] = "rule"
    request: str = ""
    expires: float = 0.0
    number: int = 1
    args: dict[str, Json] | None = None
    route: str | None = None

    def misfit(self, *, step: str, tool: str, args_digest: str, policy: str, now: float) -> str:
        """Why the permit does not cover this call ("" when it does)."""
        for what, mine, theirs in (
            ("step", self.step, step),
            ("tool", self.tool, tool),
            ("arguments", self.args_digest, args_digest),
            ("policy", self.policy, policy),
        ):
            if mine != theirs:
                return f"the permit is for another {what}"
        if self.expires and now > self.expires:
            return "the permit has expired"
        return ""


def binding(execution: str, request: str, args_digest: str) -> str:
    """What a token must name as its `nonce` to decide a request with these arguments, of the run with this id.

    A reset makes another run of it, so what was signed before the reset decides nothing after it.
    """
    return digest(f"{execution}\n{request}\n{args_digest}")


def form_digest(choice: str, form: Json) -> str:
    """The digest of what is decided: the choice, and what stands in the form beside what that and the request say."""
    given = form if isinstance(form, dict) else {"comment": form}
    fields = {name: value for name, value in given.items() if value and name not in _SAID_ELSEWHERE}
    return digest(canonical([choice, fields]))


_SAID_ELSEWHERE = ("request", "binding", "token", "stop", "outcome")


PERMIT_SECONDS = 3600.0
"""How long an approved call may wait for a worker; after that it is refused, and the model is told."""


def grant(
    *,
    step: str,
    tool: str,
    args_digest: str,
    policy: str,
    decision: Decision | None = None,
    number: int = 1,
    args: dict[str, Json] | None = None,
    route: str | None = None,
) -> Permit:
    """The permit for a call: by a person's decision, and then for `PERMIT_SECONDS`, or by the rules.

    `args_digest` is that of `args`, where a person gave these instead of the call's own, by this `route`.
    """
    return Permit(
        step=step,
        tool=tool,
        args_digest=args_digest,
        policy=policy,
        source="person" if decision else "rule",
        request=decision.request if decision else "",
        expires=decision.decided + PERMIT_SECONDS if decision else 0.0,
        number=number,
        args=args,
        route=route,
    )


def changed(before: dict[str, Json], after: dict[str, Json]) -> str:
    """What a person changed of a call's arguments: `amount_cents: 9000 → 4000`."""
    return ", ".join(
        f"{name}: {canonical(before.get(name))} → {canonical(value)}"
        for name, value in after.items()
        if value != before.get(name)
    )


def unseen(request: Request) -> str:
    """Why it has to be said what is agreed to: it is not what was asked about first ("" where it is)."""
    if request.proposed is None:
        return ""
    return (
        f"Request {request.id} was changed by whoever agreed to it: {changed(request.proposed, request.args)}. "
        f"Whoever agrees to that gives its binding, in the form or with --binding: {request.binding}"
    )


OUTCOMES: dict[str, Choice] = {"happened": "happened", "not-happened": "not happened", "give-up": "give up"}
"""How a call ended whose outcome is not known, as a form and the command line say it."""
UNCHANGED = "Nothing was changed by this click."
"""How a sentence ends that tells who was faster."""
_SAID: dict[Choice, str] = {
    "approve": "was approved",
    "deny": "was denied",
    "stop": "was denied, and the run stopped",
    "take over": "was taken over by a person",
    "answer": "was answered",
    "expired": "was denied because its deadline passed",
    "playbook": "was left to the playbook because its deadline passed",
    "happened": "was answered: it happened",
    "not happened": "was answered: it did not happen",
    "give up": "was given up",
}


def told(request: Request, decision: Decision) -> str:
    """One sentence on what was decided, and by whom."""
    people = dict.fromkeys(vote.identity.person for vote in decision.votes if vote.identity.person)
    by = f" by {' and '.join(people)}" if people else ""
    return f"Request {request.id} ({request.tool}) {_SAID[decision.choice]}{by}."


def settled(request: Request, decision: Decision) -> str:
    """The same, for a late click."""
    return f"{told(request, decision)} {UNCHANGED}"


def is_answer(request: Request) -> bool:
    """Whether what is reviewed is an agent's answer; what a graph's node gave is the other kind."""
    return request.kind == "review" and not request.input_schema


OWN_WORDS = "in your own words"
"""How the update is named that takes a reason or an answer that the policy does not list."""


BUTTON = re.compile(r"(?P<verb>approve|deny|answer|take over) (?P<request>\d+)(: | and )(?P<rest>.*)")
"""A run-time update's name."""


def choices(request: Request) -> dict[str, tuple[Choice, str]]:
    """The run-time update names for a request, each with the choice and reason it stands for.

    Names are plain text in history, so they carry only the request's number, the tool and words
    from the policy; a question's choices are counted, and stand in the card.
    """
    number = request.id
    if request.kind == "outcome":
        return {
            f"answer {number}: it happened": ("happened", ""),
            f"answer {number}: it did not happen, run it": ("not happened", ""),
            f"answer {number}: give up": ("give up", ""),
        }
    if request.kind == "question":
        said: dict[str, tuple[Choice, str]] = {
            f"answer {number}: choice {at}": ("answer", each) for at, each in enumerate(request.choices, 1)
        }
        own: dict[str, tuple[Choice, str]] = {f"answer {number}: {OWN_WORDS}": ("answer", "")}
        return {**(said or own), f"deny {number}: no answer": ("deny", "Nobody answers this."), **_beyond(request)}
    denials = request.deny_reasons or ("no reason given",)
    return {
        f"approve {number}: {request.tool}": ("approve", ""),
        **{f"deny {number}: {reason}": ("deny", reason) for reason in denials},
        f"deny {number}: {OWN_WORDS}": ("deny", ""),
        **_beyond(request),
    }


def _beyond(request: Request) -> dict[str, tuple[Choice, str]]:
    """What ends more than the request."""
    stop: dict[str, tuple[Choice, str]] = {f"deny {request.id} and stop the run": ("stop", "")}
    own: dict[str, tuple[Choice, str]] = {f"take over {request.id}: {OWN_WORDS}": ("take over", "")}
    return {**stop, **(own if request.can_take_over else {})}
