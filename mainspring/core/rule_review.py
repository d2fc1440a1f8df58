"""What a rule file may say and still be of no use: rules about tools that nobody has, and rules that change nothing.

Pure. A worker starts with such rules; whoever checks the files wants to know.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from mainspring.core.limits import Limit
from mainspring.core.marked_yaml import ProblemsByFile
from mainspring.core.policy import Rule, Verdict
from mainspring.core.routes import Route
from mainspring.core.rule_file import assemble
from mainspring.core.spec import AgentSpec
from mainspring.errors import did_you_mean

_ALL_BUT = 0.85
"""How like a group's name another must be to be taken for a slip: `finnance` is, `finance-eu` is not."""
_STRICTEST_FIRST: tuple[Verdict, ...] = ("deny", "ask", "playbook")


def check_reach(specs: Sequence[AgentSpec]) -> None:
    """Refuse rules, limits and routes of shared files about a tool that no agent with this file has.

    In an agent's own file they are refused when the agent is defined. A shared file may name what only some have.
    Routes whose `who` is all but the name of a group are refused as well: nobody could ever decide.

    Raises:
        PolicyError: at the first one; further ones follow in the same message.
    """
    tools: dict[str, set[str]] = {}
    named: dict[tuple[str, tuple[int, int]], tuple[str, Rule | Limit | Route]] = {}
    for spec in specs:
        for text in spec.rule_texts:
            tools.setdefault(text.source, set()).update(tool.name for tool in spec.tools)
        policy = assemble(spec.rule_texts)
        whats: tuple[tuple[str, Iterable[Rule | Limit | Route]], ...] = (
            ("rule", policy.rules),
            ("limit", policy.limits),
            ("route", policy.routes),
        )
        for what, items in whats:
            named |= {(each.source, each.at): (what, each) for each in items if each.tool}
    files = ProblemsByFile()
    for what, each in named.values():
        if each.tool not in (known := tools[each.source]):
            problem = f"{what} {each.id!r}: no agent with this file has a tool {each.tool!r}."
            files[each.source].wrong(each.at, problem + did_you_mean(each.tool, known))
    for route, name, like in strangers(specs):
        if like:
            problem = f"route {route.id!r}: there is no group {name!r}. Did you mean {like!r}?"
            files[route.source].wrong(route.at, problem)
    files.close()


def idle(specs: Iterable[AgentSpec]) -> list[tuple[Rule, str]]:
    """Rules that plainly change nothing, and why: only what can be told from the words of two conditions.

    A rule that several agents or tenants share is one only where that holds for all of them.
    """
    found: dict[tuple[str, str], tuple[Rule, str]] = {}
    of_use: set[tuple[str, str]] = set()
    for spec in specs:
        rules = assemble(spec.rule_texts).rules
        for rule in rules:
            if why := _idle(rule, rules):
                found.setdefault((rule.source, rule.id), (rule, why))
            else:
                of_use.add((rule.source, rule.id))
    return [each for key, each in found.items() if key not in of_use]


def strangers(specs: Iterable[AgentSpec]) -> list[tuple[Route, str, str]]:
    """Names in routes that are neither persons nor groups, so roles or mistakes; each with the group it all but is."""
    found: dict[tuple[str, str, str], tuple[Route, str, str]] = {}
    for spec in specs:
        policy = assemble(spec.rule_texts)
        for route in policy.routes:
            for name in (*route.who, *route.each, *route.to, *route.hand_to):
                if "@" not in name and name not in policy.people.groups:
                    like = get_close_matches(name, policy.people.groups, n=1, cutoff=_ALL_BUT)
                    found.setdefault((route.source, route.id, name), (route, name, "".join(like)))
    return list(found.values())


def _idle(rule: Rule, rules: Iterable[Rule]) -> str:
    if rule.when.strip() == "false":
        return "never matches"
    other = next((each for each in rules if _covers(each, rule)), None)
    if other is None:
        return ""
    return (
        f"changes nothing: rule {other.id!r} ({other.source}:{other.at[0]}) matches whenever it does, and is as strict"
    )


def _covers(other: Rule, rule: Rule) -> bool:
    """Whether a rule decides wherever another could. One that allows is never idle: it says that a tool may run."""
    about = (other.point, other.tool) == (rule.point, rule.tool)
    if not about or other is rule or other.shadow or rule.shadow or other.check or rule.check:
        return False
    if rule.verdict not in _STRICTEST_FIRST or other.verdict not in _STRICTEST_FIRST:
        return False
    if other.when.strip() not in ("true", rule.when.strip()):
        return False
    stricter = _STRICTEST_FIRST.index(rule.verdict) - _STRICTEST_FIRST.index(other.verdict)
    same = other.when.strip() == rule.when.strip()
    return stricter > 0 or (stricter == 0 and (not same or (other.source, other.at) < (rule.source, rule.at)))
