"""Judges what comes in and what a model wants to do, by the rules of a policy file.

Pure: a `Policy` is read from text (`core.rule_file`), a `Judge` joins it to the tools of one agent,
and each call or input is then a value that gets a `Judgement`. Nothing here asks a person or refuses
anything itself: the turn table does that from the recorded verdict.

Everything is fail closed: a file with a mistake is refused when it is loaded, a rule that cannot be
evaluated denies, and a tool that cannot be undone needs a rule of its own.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from pydantic import SkipValidation

from mainspring.core.canonical import Json, Value, scalars
from mainspring.core.cel import CelError, Expression, Kind, fields_of
from mainspring.core.flow import Flow
from mainspring.core.marked_yaml import Problems
from mainspring.core.messages import Done
from mainspring.core.rule_file import EMPTY, Policy, Rule, Verdict, parse
from mainspring.core.spec import Effect, ToolSpec
from mainspring.errors import did_you_mean

__all__ = ["EMPTY", "CallFacts", "InputFacts", "Judge", "Judgement", "Policy", "Rule", "Verdict", "parse"]

_STRICTEST_FIRST: tuple[Verdict, ...] = ("deny", "ask", "allow")
_WHO: dict[str, Kind] = {"agent": "string", "user": "string", "tenant": "string"}
_AT_CALL: dict[str, Kind] = {
    **_WHO,
    "tool": "string",
    "effect": "string",
    "results": "list",
    "seen.integers": "list",
    "flow.untrusted": "list",
    "flow.uncleared": "list",
    "flow.integrity": "string",
    "flow.secrecy": "string",
    "flow.thread.integrity": "string",
    "flow.thread.secrecy": "string",
}
_AT_INPUT: dict[str, Kind] = {**_WHO, "input.text": "string", "input.length": "int"}

# What a failed rule may say of its cause. CEL's own text can quote an argument, so it is never shown.
_CAUSES = {
    "NOT_FOUND": "a field it reads is missing",
    "UNKNOWN": "a fact it reads is missing",
    "OUT_OF_RANGE": "a number is out of range",
    "INTERNAL": "it needs too many steps",
}
_CAUSE = "a value has a type or content it cannot work with"


class CallFacts(Value):
    """What rules know of a tool call. `results` holds the calls of this thread that have ended.

    Earlier calls of the same message count as ended, with status `ok` and no value. `flow` tells what the arguments
    were made of.
    """

    agent: str
    user: str
    tenant: str
    tool: str
    effect: Effect
    args: dict[str, Json]
    results: SkipValidation[tuple[Done, ...]] = ()
    flow: Flow = Flow()


class InputFacts(Value):
    """What rules know of the text a run is started with."""

    agent: str
    user: str
    tenant: str
    text: str


class Judgement(Value):
    """The verdict, the rule that gave it (empty: no rule did) and its reason in words for people.

    `matched` names every rule that matched or could not be evaluated, in the order of the file.
    """

    verdict: Verdict
    rule: str = ""
    reason: str = ""
    matched: tuple[str, ...] = ()


class Judge:
    """The rules of a policy over the tools of one agent, every condition compiled once."""

    def __init__(self, policy: Policy, tools: Sequence[ToolSpec], agent: str) -> None:
        """Compile; a typo in a name or a clash of types is found here, not in a run.

        Raises:
            PolicyError: at the first rule that names what the agent does not have, or whose
                condition is not CEL; further mistakes follow in the same message.
        """
        problems = Problems(policy.source)
        known = {tool.name: tool for tool in tools}
        rules: list[tuple[Rule, Expression]] = []
        for rule in policy.rules:
            if rule.tool and rule.tool not in known:
                suggestion = did_you_mean(rule.tool, known)
                problems.wrong(rule.line, f"rule {rule.id!r}: agent {agent!r} has no tool {rule.tool!r}.{suggestion}")
            elif expression := _compile(problems, rule, known.get(rule.tool)):
                rules.append((rule, expression))
        problems.close()
        at_call = [(rule, e) for rule, e in rules if rule.point == "tool_call"]
        self._at_call = {name: [(rule, e) for rule, e in at_call if rule.tool in ("", name)] for name in ("", *known)}
        self._reads = {name: frozenset[str]().union(*(e.reads for _, e in of)) for name, of in self._at_call.items()}
        self._at_input = [(rule, e) for rule, e in rules if rule.point == "input"]
        self._has_own_rule = {rule.tool for rule, _ in at_call if rule.tool}

    def judge_call(self, facts: CallFacts) -> Judgement:
        """The strictest verdict on a tool call. Never raises."""
        rules = self._at_call.get(facts.tool, self._at_call[""])
        shared: dict[str, Json] = {**_who(facts), **_flow(facts.flow), "tool": facts.tool, "effect": facts.effect}
        # The longer a thread, the more these take, so they are made for rules that read them.
        read = self.reads(facts.tool)
        shared |= {name: make(facts.results) for name, make in _OF_RESULTS.items() if name in read}
        typed = shared | {f"args.{name}": value for name, value in facts.args.items()}
        loose = shared | {"args": facts.args}
        judged = _strictest(_apply(rule, expression, typed if rule.tool else loose) for rule, expression in rules)
        if judged:
            return judged
        if facts.effect == "once" and facts.tool not in self._has_own_rule:
            reason = f"No rule says who may run {facts.tool!r}, and it cannot be undone."
            return Judgement(verdict="ask", reason=reason)
        return Judgement(verdict="allow")

    def reads(self, tool: str) -> frozenset[str]:
        """Which facts the rules may read that hold for calls of a tool."""
        return self._reads.get(tool, self._reads[""])

    def judge_input(self, facts: InputFacts) -> Judgement:
        """The strictest verdict on the text a run is started with. Never raises."""
        variables: dict[str, Json] = {**_who(facts), "input.text": facts.text, "input.length": len(facts.text)}
        judged = _strictest(_apply(rule, expression, variables) for rule, expression in self._at_input)
        return judged or Judgement(verdict="allow")


def stricter(one: Judgement, other: Judgement) -> Judgement:
    """The stricter of two judgements; the first where they are equal."""
    return min(one, other, key=lambda judgement: _STRICTEST_FIRST.index(judgement.verdict))


def _who(facts: CallFacts | InputFacts) -> dict[str, Json]:
    return {"agent": facts.agent, "user": facts.user, "tenant": facts.tenant}


def _flow(flow: Flow) -> dict[str, Json]:
    return {
        "flow.untrusted": list[Json](flow.untrusted),
        "flow.uncleared": list[Json](flow.uncleared),
        "flow.integrity": flow.label.integrity,
        "flow.secrecy": flow.label.secrecy,
        "flow.thread.integrity": flow.thread.integrity,
        "flow.thread.secrecy": flow.thread.secrecy,
    }


def _apply(rule: Rule, expression: Expression, facts: Mapping[str, Json]) -> Judgement | None:
    try:
        if not expression.holds(facts):
            return None
    except CelError as error:
        reason = f"rule {rule.id!r} could not be evaluated ({_cause(error, rule.when)}), so the call is refused"
        return Judgement(verdict="deny", rule=rule.id, reason=reason)
    return Judgement(verdict=rule.verdict, rule=rule.id, reason=rule.reason)


def _strictest(found: Iterable[Judgement | None]) -> Judgement | None:
    judgements = [judgement for judgement in found if judgement]
    if not judgements:
        return None
    # `min` keeps the first of equals, which is the order of the file.
    strictest = min(judgements, key=lambda j: _STRICTEST_FIRST.index(j.verdict))
    return strictest.model_copy(update={"matched": tuple(j.rule for j in judgements)})


def _integers(results: Iterable[Done]) -> list[int]:
    """Every integer anywhere in the results that went well, once each, in order of appearance."""
    values = (each for done in results if done.status == "ok" for each in scalars(done.value))
    return list(dict.fromkeys(each for each in values if isinstance(each, int) and not isinstance(each, bool)))


_OF_RESULTS: dict[str, Callable[[tuple[Done, ...]], Json]] = {
    "results": lambda results: [cast("Json", done.model_dump()) for done in results],
    "seen.integers": lambda results: cast("Json", _integers(results)),
}


def _cause(error: CelError, when: str) -> str:
    code, _, detail = str(error).partition(":")
    field = re.search(r'"(\w+)"$', detail)
    # A key may be computed from an argument; one that stands in the rule is the author's own word.
    if code == "NOT_FOUND" and field and field[1] in when:
        return f"{_CAUSES[code]}: {field[1]!r}"
    return _CAUSES.get(code, _CAUSE)


def _compile(problems: Problems, rule: Rule, tool: ToolSpec | None) -> Expression | None:
    variables = dict(_AT_INPUT if rule.point == "input" else _AT_CALL)
    if tool:
        variables |= fields_of(tool.input_schema, "args")
    elif rule.point == "tool_call":
        variables["args"] = "map"
    try:
        return Expression(rule.when, variables, want=["bool"])
    except CelError as error:
        place = re.match(r"(\d+):\d+: ", str(error))
        line = rule.when_line + (int(place[1]) - 1 if place else 0)
        problem = str(error)[place.end() if place else 0 :]
        problems.wrong(line, f"rule {rule.id!r}: {_unknown_name(problem, variables, tool) or f'{problem}.'}")
        return None


def _unknown_name(problem: str, variables: Mapping[str, Kind], tool: ToolSpec | None) -> str:
    found = re.match(r"undeclared reference to '([^']+)'", problem)
    if not found:
        return ""
    root, _, argument = found[1].partition(".")
    if root == "args" and tool:
        arguments = [name.removeprefix("args.") for name in variables if name.startswith("args.")]
        if not argument:
            return f"'args' needs the name of an argument of {tool.name!r}.{did_you_mean('', arguments)}"
        return f"tool {tool.name!r} has no argument {argument!r}.{did_you_mean(argument, arguments)}"
    return f"there is no name or function {found[1]!r} here.{did_you_mean(found[1], variables)}"
