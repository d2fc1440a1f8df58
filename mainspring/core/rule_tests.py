"""Runs the tables of tests that stand in rule files. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import get_args

from mainspring.core.canonical import Json, Value, canonical
from mainspring.core.cel import CelError, Expression, Kind, plain_facts
from mainspring.core.facts import Facts, at, made, of_tool
from mainspring.core.messages import Done, Status
from mainspring.core.policy import Rule, Trial
from mainspring.core.rule_file import assemble
from mainspring.core.rules import why_failed
from mainspring.core.spec import AgentSpec, ToolSpec
from mainspring.errors import did_you_mean

_LONGEST = 100
"""Characters of a line's facts that are shown."""
_IN_WORDS: Mapping[Kind, str] = {
    "bool": "true or false",
    "int": "a whole number",
    "double": "a number",
    "string": "a text",
    "list": "a list",
    "map": "a mapping",
}
_DONE = tuple(Done.model_fields)


class Tried(Value):
    """A line of a rule's table, and what is wrong with it ("" where nothing is)."""

    rule: Rule
    place: str
    problem: str = ""


def try_rules(specs: Iterable[AgentSpec]) -> tuple[list[Tried], list[Rule]]:
    """Every line of every table once, in the order of the files, and the rules that have no table."""
    tried: dict[str, Tried] = {}
    untested: dict[tuple[str, str], Rule] = {}
    for spec in specs:
        tools = {tool.name: tool for tool in spec.tools}
        for rule in assemble(spec.rule_texts).rules:
            if rule.role == "base" or rule.check:
                continue
            if not rule.tests:
                untested.setdefault((rule.source, rule.id), rule)
            for each in _tried(rule, tools):
                # A rule that several agents share is tried with the tools of each: what fails for one is told.
                if each.place not in tried or (each.problem and not tried[each.place].problem):
                    tried[each.place] = each
    return list(tried.values()), list(untested.values())


def half_tested(rules: Iterable[Rule]) -> Iterator[tuple[Rule, str]]:
    """Rules whose table shows one side only, and which is missing: 'match' or 'miss'."""
    for rule in rules:
        shown = {trial.matches for trial in rule.tests}
        if len(shown) == 1 and rule.when != "true":  # which nothing misses
            yield rule, "miss" if True in shown else "match"


def _tried(rule: Rule, tools: Mapping[str, ToolSpec]) -> Iterator[Tried]:
    if not rule.tests or (rule.tool and rule.tool not in tools):
        return
    variables = at(rule.point) | of_tool(rule.point, tools.get(rule.tool))
    expression = Expression(rule.when, variables, want=["bool"])
    for trial in rule.tests:
        given = _flat(rule, trial.given)
        problem = next(_misfits(given, variables, tools), "") or _said(rule, trial, given, expression, tools)
        yield Tried(rule=rule, place=f"{rule.source}:{trial.line}:{trial.column}", problem=problem)


def _flat(rule: Rule, given: Mapping[str, Json]) -> dict[str, Json]:
    """The facts with arguments by their own names, where the rule is about one tool."""
    whole = given.get("args")
    if not rule.tool or not isinstance(whole, dict):
        return dict(given)
    rest = {name: value for name, value in given.items() if name != "args"}
    return {f"args.{name}": value for name, value in whole.items()} | rest


def _misfits(given: Mapping[str, Json], variables: Mapping[str, Kind], tools: Mapping[str, ToolSpec]) -> Iterator[str]:
    """Facts that there are not, or that never have such a value."""
    for name, value in given.items():
        if name not in variables:
            yield f"cannot be tried: there is no fact {name!r} here.{did_you_mean(name, variables)}"
        elif wrong := _wrong_type(variables[name], value):
            yield f"cannot be tried: {name!r} is {wrong}"
    results = given.get("results")
    for number, call in enumerate(results if isinstance(results, list) else [], 1):
        yield from (f"cannot be tried: call {number} of 'results' {wrong}" for wrong in _no_call(call, tools))


def _wrong_type(kind: Kind, value: Json) -> str:
    """What a fact of this kind is, where this value is none."""
    actual = _kind(value)
    if kind in ("any", actual) or (kind, actual) == ("double", "int"):
        return ""
    hint = ""
    if kind == "string" and actual in ("bool", "int", "double"):
        hint = " Put it in quotes."
    elif kind in ("bool", "int", "double") and isinstance(value, str) and value.strip("+-.0123456789") == "":
        hint = " Leave out the quotes."
    return f"{_IN_WORDS[kind]}, but {canonical(value)} is {_IN_WORDS.get(actual, 'nothing')}.{hint}"


def _kind(value: Json) -> Kind:
    kinds: Mapping[type, Kind] = {
        bool: "bool",
        int: "int",
        float: "double",
        str: "string",
        list: "list",
        dict: "map",
    }
    return kinds.get(type(value), "any")


def _no_call(call: Json, tools: Mapping[str, ToolSpec]) -> Iterator[str]:
    """What keeps an entry of 'results' from being a call that has ended."""
    if not isinstance(call, dict):
        yield "must be a mapping, such as {tool: find_order, value: {number: 7}}."
        return
    for name in call.keys() - set(_DONE):
        yield f"has no field {name!r}.{did_you_mean(name, _DONE)}"
    tool, args, status = call.get("tool", ""), call.get("args", {}), call.get("status", "ok")
    if str(tool) not in tools:
        yield f"names no tool of this agent: {tool!r}.{did_you_mean(str(tool), tools)}"
        return
    known = [name.removeprefix("args.") for name in of_tool("tool_call", tools[str(tool)]) if name.startswith("args.")]
    if not isinstance(args, dict):
        yield "has 'args' that are no mapping."
        return
    for name in args.keys() - set(known):
        yield f"has an argument {name!r}, which {tool!r} does not have.{did_you_mean(name, known)}"
    if status not in (words := get_args(Status)):
        yield f"has the status {status!r}.{did_you_mean(str(status), words)}"


def _said(
    rule: Rule, trial: Trial, given: Mapping[str, Json], expression: Expression, tools: Mapping[str, ToolSpec]
) -> str:
    """What is wrong with what a rule says of a line; "" where it says what it should."""
    tool = tools.get(rule.tool)
    args = given.get("args") or {name.removeprefix("args."): v for name, v in given.items() if name.startswith("args.")}
    facts = Facts.model_validate(
        {
            "agent": "",
            "tool": rule.tool,
            "effect": tool.effect if tool else "read",
            "args": args,
            "results": _calls(given),
        }
    )
    told = {name: given[name] for name in expression.reads - {"results"} if name in given}
    values = plain_facts(made(facts, expression.reads) | told)
    shown = canonical(trial.given)
    shown = f"{shown[:_LONGEST]}…" if len(shown) > _LONGEST else shown
    try:
        matches = expression.holds(values)
    except CelError as error:
        missing = sorted(expression.reads - values.keys())
        why = f"the line does not give {missing[0]!r}" if missing else why_failed(error, rule.when)
        return f"could not be evaluated with {shown}: {why}"
    if matches == trial.matches:
        return ""
    return f"matches {shown}, but should not" if matches else f"does not match {shown}, but should"


def _calls(given: Mapping[str, Json]) -> Sequence[Done]:
    """Earlier calls, of which a line need not say all, so that sums over them are right."""
    results = given.get("results")
    calls = [each for each in results if isinstance(each, dict)] if isinstance(results, list) else []
    return [Done.model_validate({"args": {}, "value": None, "status": "ok", **each}) for each in calls]
