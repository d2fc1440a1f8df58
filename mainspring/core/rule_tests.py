"""Runs the tables of tests that stand in rule files. Pure."""

from collections.abc import Iterable, Iterator

from mainspring.core.canonical import Value
from mainspring.core.policy import Rule
from mainspring.core.rule_file import assemble
from mainspring.core.rules import Judge
from mainspring.core.spec import AgentSpec


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
        policy = assemble(spec.rule_texts)
        judge = Judge(policy, spec.tools, spec.name)
        for rule in policy.rules:
            if rule.role == "base" or rule.check:
                continue
            if not rule.tests:
                untested.setdefault((rule.source, rule.id), rule)
            for each in _tried(judge, rule):
                # A rule that several agents share is tried with the tools of each: what fails for one is told.
                if each.place not in tried or (each.problem and not tried[each.place].problem):
                    tried[each.place] = each
    return list(tried.values()), list(untested.values())


def _tried(judge: Judge, rule: Rule) -> Iterator[Tried]:
    if rule.tool and not judge.has_tool(rule.tool):
        return
    for trial in rule.tests:
        said = judge.tried(rule, trial.given)
        problem = ""
        if isinstance(said, str):
            problem = f"could not be evaluated: {said}"
        elif said != trial.matches:
            problem = "does not match, but should" if trial.matches else "matches, but should not"
        yield Tried(rule=rule, place=f"{rule.source}:{trial.line}:{trial.column}", problem=problem)
