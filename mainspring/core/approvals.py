"""Approvals: what a person is asked, what they may answer, and the permit that comes of it.

Pure: the workflow side (`durable.approvals`) owns handlers and timers. Three kinds of request: `approval` (may this
call run?), `review` (may this answer be given?) and `outcome` (a `once` call ended without a known result: did it
happen?).
"""

from typing import Literal

from pydantic import Field

from mainspring.core.canonical import Json, Record, Value, canonical

Kind = Literal["approval", "review", "outcome"]
Choice = Literal["approve", "deny", "expired", "happened", "not happened", "give up"]


class Request(Value):
    """One question to a person. `id` counts from 1 within the run; times are seconds since 1970.

    `step` is the step it holds up; `about` says what the tool does, in its author's words; `args` are the
    arguments as shown, bound by `args_digest`. Under review it is `tool` "answer", and `typed` where it has a type.
    `input_schema` is what other arguments must fit.
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


class Decision(Value):
    """What was decided. `reason` is what the model and the trace read; `update` names the update that did it.

    `answer` is what a person made of an answer under review ("": it is given as it is); `args` what they made of a
    call's arguments (None: it runs with its own).
    """

    request: str
    choice: Choice
    reason: str = ""
    update: str = ""
    decided: float = 0.0
    answer: str = ""
    args: dict[str, Json] | None = None


class Permit(Record):
    """Leave for exactly one step: bound to tool, arguments and policy; consumed by the dispatch gate.

    `source` is the rule engine or a person (then `request` names the request). `expires` is seconds
    since 1970, 0 for a permit a rule gave. `number` grows with each permit for the same step: a tool can
    refuse a smaller one than it has seen (a fence against a first call that comes late). `args` are what the call runs
    with, where a person changed that.
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
) -> Permit:
    """The permit for a call: by a person's decision, and then for `PERMIT_SECONDS`, or by the rules.

    `args_digest` is that of `args`, where a person gave these instead of the call's own.
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
    )


def changed(before: dict[str, Json], after: dict[str, Json]) -> str:
    """What a person changed of a call's arguments: `amount_cents: 9000 → 4000`."""
    return ", ".join(
        f"{name}: {canonical(before.get(name))} → {canonical(value)}"
        for name, value in after.items()
        if value != before.get(name)
    )


def settled(request: Request, decision: Decision) -> str:
    """One sentence on a decision already taken, for a late click."""
    said = {
        "approve": "was approved",
        "deny": "was denied",
        "expired": "was denied because its deadline passed",
        "happened": "was answered: it happened",
        "not happened": "was answered: it did not happen",
        "give up": "was given up",
    }[decision.choice]
    return f"Request {request.id} ({request.tool}) {said}. Nothing was changed by this click."


def choices(request: Request) -> dict[str, tuple[Choice, str]]:
    """The run-time update names for a request, each with the choice and reason it stands for.

    Names are plain text in history, so they carry only the request's number, the tool and words
    from the policy.
    """
    if request.kind == "outcome":
        return {
            f"answer {request.id}: it happened": ("happened", ""),
            f"answer {request.id}: it did not happen, run it": ("not happened", ""),
            f"answer {request.id}: give up": ("give up", ""),
        }
    denials = request.deny_reasons or ("no reason given",)
    return {
        f"approve {request.id}: {request.tool}": ("approve", ""),
        **{f"deny {request.id}: {reason}": ("deny", reason) for reason in denials},
    }
