"""What rules know: every fact by name, with its type and the points at which it holds. Pure.

`FACTS` is the one list of them: rules are compiled over it, and the reference page is written from it. Facts about
arguments and results have the types that the tool declares (`of_tool`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from pydantic import Field, SkipValidation

from mainspring.core.canonical import Json, Value, scalars
from mainspring.core.cel import Kind, fields_of, kind_of
from mainspring.core.flow import Flow
from mainspring.core.messages import Done
from mainspring.core.policy import Point
from mainspring.core.spec import Effect, ToolSpec


class Citation(Value):
    """A quotation in an answer: whose words it says they are, the words, and whether they stand there."""

    source: str
    quote: str
    found: bool = False


class Facts(Value):
    """What is known where rules are asked. What a point does not have keeps its default.

    `results` holds the calls of this thread that have ended; earlier calls of the same message count as ended, with
    status `ok` and no value. `flow` tells what the arguments of a call were made of. `now` is in seconds since 1970.
    `text` is what the user or the agent says, `result` what a tool returned; `found` are the kinds of personal data and
    secrets in what the point is about. `ungrounded` are arguments, or numbers of an answer, that stand in nothing read.
    """

    agent: str
    model: str = ""
    prompt: str = ""
    user: str = ""
    tenant: str = ""
    roles: tuple[str, ...] = ()
    session: str = ""
    channel: str = ""
    locale: str = ""
    now: float = 0.0
    recalled: str = ""
    tool: str = ""
    effect: Effect = "read"
    args: dict[str, Json] = Field(default_factory=dict[str, Json])
    results: SkipValidation[tuple[Done, ...]] = ()
    flow: Flow = Flow()
    text: str = ""
    result: SkipValidation[Json] = None
    found: tuple[str, ...] = ()
    ungrounded: tuple[str, ...] = ()
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True)
class Fact:
    """One fact: its type, where it holds, what it is in words, and how it is made."""

    kind: Kind
    points: tuple[Point, ...]
    about: str
    make: Callable[[Facts], Any]


def risk(facts: Facts) -> int:
    """How much a call may harm, from 0 to 100; see `FACTS`."""
    by_effect = {"read": 0, "idempotent": 20, "once": 40}[facts.effect]
    return by_effect + 40 * bool(facts.flow.untrusted) + 20 * bool(facts.flow.uncleared)


_EVERYWHERE: tuple[Point, ...] = ("input", "tool_call", "tool_result", "output")
_TOOLS: tuple[Point, ...] = ("tool_call", "tool_result")
_LATER: tuple[Point, ...] = ("tool_call", "tool_result", "output")
_CALL: tuple[Point, ...] = ("tool_call",)
_INPUT: tuple[Point, ...] = ("input",)
_RESULT: tuple[Point, ...] = ("tool_result",)
_OUTPUT: tuple[Point, ...] = ("output",)

FACTS: Mapping[str, Fact] = {
    "agent": Fact("string", _EVERYWHERE, "name of the agent (or graph) at work", lambda f: f.agent),
    "model": Fact("string", _EVERYWHERE, "the model that the agent names first", lambda f: f.model),
    "prompt": Fact("string", _EVERYWHERE, "version of the agent's instructions: 12 hex characters", lambda f: f.prompt),
    "user": Fact("string", _EVERYWHERE, "the run's `user`", lambda f: f.user),
    "tenant": Fact("string", _EVERYWHERE, "the run's `tenant`", lambda f: f.tenant),
    "roles": Fact("list", _EVERYWHERE, "the run's `roles`", lambda f: list(f.roles)),
    "session": Fact("string", _EVERYWHERE, "the run's `session`", lambda f: f.session),
    "channel": Fact("string", _EVERYWHERE, "the run's `channel`, such as `mail`", lambda f: f.channel),
    "locale": Fact("string", _EVERYWHERE, "the run's `locale`, such as `de-CH`", lambda f: f.locale),
    "time.unix": Fact("int", _EVERYWHERE, "when the rules are asked, in seconds since 1970", lambda f: int(f.now)),
    "time.date": Fact("string", _EVERYWHERE, "the day then, such as `2026-11-26` (UTC)", lambda f: str(_utc(f).date())),
    "time.hour": Fact("int", _EVERYWHERE, "the hour then, 0 to 23 (UTC)", lambda f: _utc(f).hour),
    "time.weekday": Fact("int", _EVERYWHERE, "the day of the week, 1 is Monday (UTC)", lambda f: _utc(f).isoweekday()),
    "found": Fact(
        "list", _EVERYWHERE, "kinds of personal data and secrets found in what is judged, such as `card`",
        lambda f: list(f.found),
    ),
    "input.text": Fact("string", _INPUT, "what the run was started with, or a message of a session", lambda f: f.text),
    "input.length": Fact("int", _INPUT, "its length in characters", lambda f: len(f.text)),
    "recalled": Fact("string", _LATER, "what memory knew of the user when the run began", lambda f: f.recalled),
    "results": Fact(
        "list", _LATER, "the calls of this thread that have ended, oldest first", lambda f: _dumped(f.results)
    ),
    "seen.integers": Fact(
        "list", _LATER, "every integer in the results of calls that went well", lambda f: _integers(f.results)
    ),
    "tool": Fact("string", _TOOLS, "name of the tool", lambda f: f.tool),
    "effect": Fact("string", _TOOLS, "`read`, `idempotent` or `once`", lambda f: f.effect),
    "ungrounded": Fact(
        "list", ("tool_call", "output"),
        "names of arguments with a number that stands in nothing said or looked up; or such numbers of an answer",
        lambda f: list(f.ungrounded),
    ),
    "flow.untrusted": Fact(
        "list", _CALL, "names of the arguments that are less trusted than the tool accepts",
        lambda f: list(f.flow.untrusted),
    ),
    "flow.uncleared": Fact(
        "list", _CALL, "names of the arguments that are more secret than the tool accepts",
        lambda f: list(f.flow.uncleared),
    ),
    "flow.integrity": Fact(
        "string", _CALL, "what the arguments were made of, at its worst: `trusted`, `user` or `external`",
        lambda f: f.flow.label.integrity,
    ),
    "flow.secrecy": Fact(
        "string", _CALL, "likewise: `public`, `internal`, `personal` or `secret`", lambda f: f.flow.label.secrecy
    ),
    "flow.thread.integrity": Fact(
        "string", _CALL, "likewise, of all that the model had read", lambda f: f.flow.thread.integrity
    ),
    "flow.thread.secrecy": Fact(
        "string", _CALL, "likewise, of all that the model had read", lambda f: f.flow.thread.secrecy
    ),
    "risk": Fact(
        "int", _CALL, "0 to 100: 40 for a `once` tool, 20 for an `idempotent` one; 40 more where an argument is less "
        "trusted than the tool accepts, 20 where one is more secret",
        risk,
    ),
    "output.text": Fact("string", _OUTPUT, "the agent's answer (JSON where it has a type)", lambda f: f.text),
    "output.length": Fact("int", _OUTPUT, "its length in characters", lambda f: len(f.text)),
    "citations": Fact(
        "list", _OUTPUT, "what the answer quotes: `source`, `quote`, and `found`: whether the words stand there",
        lambda f: [each.model_dump() for each in f.citations],
    ),
}  # fmt: skip
OF_FLOW = frozenset(name for name in FACTS if name.startswith("flow.")) | {"risk"}
"""Facts that the flow of a call is worked out for."""


def at(point: Point) -> dict[str, Kind]:
    """The facts at a point that no tool declares, with their types."""
    return {name: fact.kind for name, fact in FACTS.items() if point in fact.points}


def of_tool(point: Point, tool: ToolSpec | None) -> dict[str, Kind]:
    """The facts that a tool declares, with their types; without one, those that any tool has."""
    if point not in _TOOLS:
        return {}
    if tool is None:
        anyhow: dict[str, Kind] = {"args": "map", "total.calls": "int"}
        if point == "tool_result":
            anyhow["result"] = "any"
        return anyhow
    args: dict[str, Kind] = fields_of(tool.input_schema, "args")
    totals: dict[str, Kind] = {
        f"total.{name.removeprefix('args.')}": kind for name, kind in args.items() if kind in ("int", "double")
    }
    calls: dict[str, Kind] = {"total.calls": "int"}
    return args | calls | totals | (_result(tool) if point == "tool_result" else {})


def made(facts: Facts, names: Iterable[str]) -> dict[str, Json]:
    """The facts of these names, by name. `args.NAME`, `total.NAME` and `result.NAME` are those of the call."""
    return {name: _make(facts, name) for name in names if _is_there(facts, name)}


def _make(facts: Facts, name: str) -> Json:
    if fact := FACTS.get(name):
        return cast("Json", fact.make(facts))
    root, _, part = name.partition(".")
    if root == "args":
        return facts.args[part] if part else facts.args
    if root == "total":
        return _total(facts, part)
    return cast("dict[str, Json]", facts.result)[part] if part else facts.result


def _is_there(facts: Facts, name: str) -> bool:
    """Whether a part of the arguments or the result that a rule reads is there; a rule that reads another one fails."""
    root, _, part = name.partition(".")
    if name in FACTS or not part or root == "total":
        return True
    holder = facts.args if root == "args" else facts.result
    return isinstance(holder, dict) and part in holder


def _total(facts: Facts, name: str) -> int | float:
    """Over this tool's calls in this thread that ran, and the one in hand: how many, or an argument's sum."""
    calls = [done.args for done in facts.results if done.tool == facts.tool and (done.status == "ok" or done.ran)]
    calls.append(facts.args)
    if name == "calls":
        return len(calls)
    numbers = (args.get(name) for args in calls)
    return sum(each for each in numbers if isinstance(each, int | float) and not isinstance(each, bool))


def _result(tool: ToolSpec) -> dict[str, Kind]:
    """`result.FIELD` where the tool returns an object with these fields, else `result`."""
    schema = cast("dict[str, Any]", tool.result_schema or {})
    whole: dict[str, Kind] = {"result": kind_of(schema)}
    return fields_of(schema, "result") or whole


def _utc(facts: Facts) -> datetime:
    return datetime.fromtimestamp(facts.now, UTC)


def _dumped(results: tuple[Done, ...]) -> list[Json]:
    return [cast("Json", done.model_dump()) for done in results]


def _integers(results: Iterable[Done]) -> list[int]:
    """Every integer anywhere in the results that went well, once each, in order of appearance."""
    values = (each for done in results if done.status == "ok" for each in scalars(done.value))
    return list(dict.fromkeys(each for each in values if isinstance(each, int) and not isinstance(each, bool)))
