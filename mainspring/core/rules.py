"""Judges what comes in, what a model wants to do, what a tool returned and what an agent answers.

Pure: a `Policy` is read from text (`core.rule_file`), a `Judge` joins it to the tools of one agent,
and what is known at a point (`core.facts`) then gets a `Judgement`. Nothing here asks a person or refuses
anything itself: whoever acts does that from the recorded verdict.

Everything is fail closed: a file with a mistake is refused when it is loaded, a rule that cannot be
evaluated denies (one that redacts does so), and a tool that cannot be undone needs a rule of its own.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from mainspring.core.canonical import Json, Value
from mainspring.core.cel import CelError, Expression, Kind, plain_facts
from mainspring.core.facts import Facts, at, made, of_tool
from mainspring.core.marked_yaml import Problems, ProblemsByFile
from mainspring.core.policy import Point, Policy, Rule, Verdict
from mainspring.core.routes import Route
from mainspring.core.spec import ToolSpec
from mainspring.errors import did_you_mean

_STRICTEST_FIRST: tuple[Verdict, ...] = ("deny", "ask", "playbook", "allow")
SHADOW, FAILED = "shadow:", "failed:"
"""Before the id of a rule that matched and only looks on, and of one that could not be evaluated."""

# What a failed rule may say of its cause. CEL's own text can quote an argument, so it is never shown.
_CAUSES = {
    "NOT_FOUND": "a field it reads is missing",
    "UNKNOWN": "a fact it reads is missing",
    "OUT_OF_RANGE": "a number is out of range",
    "INTERNAL": "it needs too many steps",
}
_CAUSE = "a value has a type or content it cannot work with"
_CLASH = re.compile(r"found no matching overload for '([^']+)' applied to '\(?([^')]*)\)?'")
_ALONE = 3
"""Up to how many rules are asked one by one; more are first asked together whether any matches."""
_JOINED = 100
"""How many at once, at most."""

Checked = Mapping[str, bool | str]
"""What the Python functions that rules name said: whether the rule matches, or why that is not known."""


class Judgement(Value):
    """The verdict, the rule that gave it (empty: no rule did) and its reason in words for people.

    `matched` names every rule that matched, in the order of the file; one that only looks on after `shadow:`, one that
    could not be evaluated after `failed:`.
    """

    verdict: Verdict
    rule: str = ""
    reason: str = ""
    matched: tuple[str, ...] = ()


class _Compiled(NamedTuple):
    """A rule with its condition (none where a Python function is that)."""

    rule: Rule
    condition: Expression | None


class _Group(NamedTuple):
    """The rules for a tool at a point: the facts they read, the functions they name, and two ways to ask them.

    `together` are conditions each of which tells, where it is false, that none of its rules matches; none where there
    is no such condition for every rule.
    """

    rules: tuple[_Compiled, ...]
    reads: frozenset[str]
    checks: frozenset[str]
    together: tuple[Expression, ...]


class Judge:
    """The rules of a policy over the tools of one agent, every condition compiled once."""

    def __init__(
        self, policy: Policy, tools: Sequence[ToolSpec], agent: str, checks: Iterable[str] | None = None
    ) -> None:
        """Compile; a typo in a name or a clash of types is found here, not in a run.

        `checks` are the names of the Python functions that there are; None where that is not to be looked at.

        Raises:
            PolicyError: at the first rule that names what the agent does not have, or whose
                condition is not CEL; further mistakes follow in the same message.
        """
        self.limits = policy.limits
        self._tools = {tool.name: tool for tool in tools}
        problems = ProblemsByFile()
        compiled: list[_Compiled] = []
        for rule in policy.rules:
            place = problems[rule.source]
            if rule.tool and rule.tool not in self._tools:
                if rule.role in ("included", "overlay"):  # shared by agents that have it and agents that do not
                    continue
                suggestion = did_you_mean(rule.tool, self._tools)
                place.wrong(rule.at, f"rule {rule.id!r}: agent {agent!r} has no tool {rule.tool!r}.{suggestion}")
            elif rule.check:
                _check_name(place, rule, checks)
                compiled.append(_Compiled(rule, None))
            elif expression := _compile(place, rule, self._tools.get(rule.tool)):
                compiled.append(_Compiled(rule, expression))
        self._routes = [
            (each, made)
            for each in policy.routes
            if (made := self._compiled_route(problems, each, policy.source, agent))
        ]
        problems.close()
        self._groups = dict(self._grouped(compiled))
        self._has_own_rule = {c.rule.tool for c in compiled if c.rule.tool and _says_who_may(c.rule)}

    def judge(self, point: Point, facts: Facts, checked: Checked | None = None) -> Judgement:
        """The strictest verdict. Never raises.

        `checked` is what the functions in `checks(point, tool)` said; one that is not there has failed.
        """
        found = [
            each
            for each in self._matching(point, facts, checked or {})
            if each[0].verdict != "redact" or each[0].shadow
        ]
        judged = _strictest(found)
        if judged.verdict != "allow" or judged.rule or point != "tool_call" or facts.effect != "once":
            return judged
        if facts.tool in self._has_own_rule:
            return judged
        reason = f"No rule says who may run {facts.tool!r}, and it cannot be undone."
        return judged.model_copy(update={"verdict": "ask", "reason": reason})

    def redactions(self, point: Point, facts: Facts, checked: Checked | None = None) -> tuple[Rule, ...]:
        """The rules by which something is redacted; one that cannot be evaluated counts. Never raises."""
        if not self.says("redact", point, facts.tool):
            return ()
        matching = self._matching(point, facts, checked or {})
        return tuple(rule for rule, _ in matching if rule.verdict == "redact" and not rule.shadow)

    def route(self, point: Point, facts: Facts) -> Route | None:
        """The first route that holds for a request; one that cannot be evaluated holds. Never raises."""
        values = plain_facts(made(facts, self.route_reads(point, facts.tool)))
        for route, condition in self._routes_at(point, facts.tool):
            try:
                if condition.holds(values):
                    return route
            except CelError:
                return route
        return None

    def reads(self, point: Point, tool: str = "") -> frozenset[str]:
        """Which facts the rules read at a point, for calls of a tool."""
        return self._group(point, tool).reads

    def route_reads(self, point: Point, tool: str = "") -> frozenset[str]:
        """Which facts the routes read, of requests at a point about calls of a tool."""
        return frozenset[str]().union(*(condition.reads for _, condition in self._routes_at(point, tool)))

    def checks(self, point: Point, tool: str = "") -> frozenset[str]:
        """Which Python functions the rules name at a point, for calls of a tool."""
        return self._group(point, tool).checks

    def says(self, verdict: Verdict, point: Point, tool: str = "") -> bool:
        """Whether any rule may give a verdict at a point, for calls of a tool."""
        return any(each.rule.verdict == verdict for each in self._group(point, tool).rules)

    def rules(self, point: Point, tool: str = "") -> tuple[Rule, ...]:
        """The rules that are asked at a point, for calls of a tool."""
        return tuple(each.rule for each in self._group(point, tool).rules)

    def _routes_at(self, point: Point, tool: str) -> Iterator[tuple[Route, Expression]]:
        return (each for each in self._routes if each[0].point == point and each[0].tool in ("", tool))

    def _compiled_route(self, problems: ProblemsByFile, route: Route, own: str, agent: str) -> Expression | None:
        """The condition of a route; none where it is wrong, or for a tool that this agent does not have."""
        if route.tool and route.tool not in self._tools:
            if route.source == own:  # others are shared by agents that have it and agents that do not
                suggestion = did_you_mean(route.tool, self._tools)
                problem = f"route {route.id!r}: agent {agent!r} has no tool {route.tool!r}.{suggestion}"
                problems[route.source].wrong(route.at, problem)
            return None
        rule = Rule(
            id=route.id,
            point="output" if route.point == "output" else "tool_call",
            tool=route.tool,
            when=route.when,
            verdict="ask",
            reason="",
            when_at=route.when_at,
            is_literal=route.is_literal,
        )
        return _compile(problems[route.source], rule, self._tools.get(route.tool), "route")

    def _group(self, point: Point, tool: str) -> _Group:
        return self._groups.get((point, tool)) or self._groups[point, ""]

    def _grouped(self, compiled: Sequence[_Compiled]) -> Iterator[tuple[tuple[Point, str], _Group]]:
        for point in ("input", "tool_call", "tool_result", "output"):
            for name in ("", *self._tools):
                rules = tuple(c for c in compiled if c.rule.point == point and c.rule.tool in ("", name))
                reads = frozenset[str]().union(*(c.condition.reads for c in rules if c.condition))
                checks = frozenset(c.rule.check for c in rules if c.rule.check)
                yield (point, name), _Group(rules, reads, checks, self._together(rules))

    def _together(self, rules: Sequence[_Compiled]) -> tuple[Expression, ...]:
        """The conditions of rules over the same facts, joined: most calls match none, and then one answer does."""
        if len(rules) <= _ALONE or any(each.condition is None for each in rules):
            return ()
        joined: list[Expression] = []
        for name in dict.fromkeys(each.rule.tool for each in rules):
            some = [each.rule for each in rules if each.rule.tool == name]
            for start in range(0, len(some), _JOINED):
                text = " || ".join(f"({rule.when}\n)" for rule in some[start : start + _JOINED])
                try:
                    joined.append(Expression(text, self._variables(some[0])))
                except CelError:  # too long for CEL: they are asked one by one
                    return ()
        return tuple(joined)

    def _variables(self, rule: Rule) -> dict[str, Kind]:
        return _variables(rule.point, self._tools.get(rule.tool))

    def _matching(self, point: Point, facts: Facts, checked: Checked) -> list[tuple[Rule, str]]:
        """The rules that match, each with why it could not be evaluated ("" where it could)."""
        group = self._group(point, facts.tool)
        if not group.rules:
            return []
        values = plain_facts(made(facts, group.reads))
        if group.together and _none_holds(group.together, values):
            return []
        found: list[tuple[Rule, str]] = []
        for each in group.rules:
            held = _evaluated(each, values, checked)
            if held is not False:
                found.append((each.rule, held if isinstance(held, str) else ""))
        return found


def stricter(one: Judgement, other: Judgement) -> Judgement:
    """The stricter of two judgements; the first where they are equal."""
    return min(one, other, key=lambda judgement: _STRICTEST_FIRST.index(judgement.verdict))


def _says_who_may(rule: Rule) -> bool:
    """Whether a rule decides about calls, so that a tool that cannot be undone may run where it does not match."""
    return rule.point == "tool_call" and rule.role != "overlay" and rule.verdict != "redact" and not rule.shadow


def _none_holds(together: Iterable[Expression], values: Mapping[str, Json]) -> bool:
    try:
        return not any(expression.holds(values) for expression in together)
    except CelError:
        return False


def _evaluated(each: _Compiled, values: Mapping[str, Json], checked: Checked) -> bool | str:
    """Whether a rule matches, or why that is not known."""
    if each.condition is None:
        return checked.get(each.rule.check, f"the function {each.rule.check!r} is not on this worker")
    try:
        return each.condition.holds(values)
    except CelError as error:
        return why_failed(error, each.rule.when)


def _strictest(found: Sequence[tuple[Rule, str]]) -> Judgement:
    matched = tuple(f"{SHADOW * rule.shadow}{FAILED * bool(failed)}{rule.id}" for rule, failed in found)
    judged = [_judged(rule, failed) for rule, failed in found if not rule.shadow]
    if not judged:
        return Judgement(verdict="allow", matched=matched)
    # `min` keeps the first of equals, which is the order of the file.
    strictest = min(judged, key=lambda judgement: _STRICTEST_FIRST.index(judgement.verdict))
    return strictest.model_copy(update={"matched": matched})


def _judged(rule: Rule, failed: str) -> Judgement:
    if not failed:
        return Judgement(verdict=rule.verdict, rule=rule.id, reason=rule.reason)
    what = "the call" if rule.point == "tool_call" else "it"
    reason = f"rule {rule.id!r} could not be evaluated ({failed}), so {what} is refused"
    return Judgement(verdict="deny", rule=rule.id, reason=reason)


def why_failed(error: CelError, when: str) -> str:
    """Why a condition could not be evaluated, in words that hold no value."""
    code, _, detail = str(error).partition(":")
    field = re.search(r'"(\w+)"$', detail)
    # A key may be computed from an argument; one that stands in the rule is the author's own word.
    if code == "NOT_FOUND" and field and field[1] in when:
        return f"{_CAUSES[code]}: {field[1]!r}"
    return _CAUSES.get(code, _CAUSE)


def _variables(point: Point, tool: ToolSpec | None) -> dict[str, Kind]:
    return at(point) | of_tool(point, tool)


def _check_name(problems: Problems, rule: Rule, checks: Iterable[str] | None) -> None:
    if checks is not None and rule.check not in (known := sorted(checks)):
        suggestion = did_you_mean(rule.check, known) if known else " Pass it as Agent(checks=[…])."
        problems.wrong(rule.when_at, f"rule {rule.id!r}: there is no Python function {rule.check!r}.{suggestion}")


def _compile(problems: Problems, rule: Rule, tool: ToolSpec | None, what: str = "rule") -> Expression | None:
    variables = _variables(rule.point, tool)
    try:
        return Expression(rule.when, variables, want=["bool"])
    except CelError as error:
        place = re.match(r"(\d+):(\d+): ", str(error))
        line, column = rule.when_at
        if place and rule.is_literal:
            line, column = line + int(place[1]) - 1, column + int(place[2]) - 1
        problem = str(error)[place.end() if place else 0 :]
        said = _unknown_name(problem, variables, tool) or f"{_in_words(problem)}."
        problems.wrong((line, column), f"{what} {rule.id!r}: {said}")
        return None


def _in_words(problem: str) -> str:
    """CEL's own words for what is wrong with a condition, in ours where they are common."""
    if clash := _CLASH.match(problem):
        name, types = clash[1].strip("!_"), clash[2].replace(", ", " and ")
        return f"{name!r} does not go with {types}{problem[clash.end() :]}"
    return problem


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
