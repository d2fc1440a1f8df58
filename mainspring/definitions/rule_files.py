"""The rule files of one definition: its own, those it includes, and those of tenants."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mainspring.core import base_rules
from mainspring.core.facts import Facts
from mainspring.core.limit_file import check_tools
from mainspring.core.marked_yaml import Problems
from mainspring.core.policy import DAY, EMPTY, FileRef, Policy, Role, Rule, joined
from mainspring.core.routes import Route
from mainspring.core.rule_file import assemble, parse
from mainspring.core.rules import Judge
from mainspring.core.spec import AgentSpec, RuleText
from mainspring.definitions.files import read
from mainspring.errors import DefinitionError, PolicyError


class RuleFiles:
    """Read when the definition is made, and checked against its tools and functions."""

    def __init__(self, path: str | Path, near: Path, owner: str, checks: Sequence[Callable[[Facts], Any]]) -> None:
        """Read the file and every file it names.

        Raises:
            DefinitionError: the file is missing, or two functions have one name.
            PolicyError: a file is wrong, includes itself, or names one that is missing.
        """
        self.checks = _by_name(owner, checks)
        self._near, self._owner = near, owner
        own = read(path, near, owner) if path else ""
        self._policy = parse(own, str(path)) if path else EMPTY
        self._parts = tuple(self._included(self._policy, (str(path),)))
        tenants = self._policy.tenants.items()
        self._overlays = {tenant: self._read(each, str(path), "overlay") for tenant, each in tenants}
        joint = joined([*(parse(each.text, each.source, each.role) for each in self._parts), self._policy])
        self.people = joint.people
        self.fields: dict[str, Any] = {
            "rules": own,
            "rules_source": str(path),
            "deadline": joint.deadline or DAY,
            "deny_reasons": joint.deny_reasons,
            "routes": joint.routes,
            "base": base_rules.TEXT,
            "parts": self._parts,
        }

    @property
    def tenants(self) -> Iterable[str]:
        """The tenants that have rules of their own."""
        return self._overlays

    def check(self, spec: AgentSpec) -> None:
        """Compile everything, for each tenant too, so that what is wrong is found now.

        Raises:
            PolicyError: at the first rule that is wrong.
        """
        for each in (spec, *(self.for_tenant(spec, tenant) for tenant in self._overlays)):
            policy = assemble(each.rule_texts)
            Judge(policy, each.tools, each.name, self.checks)
            problems = Problems(policy.source)
            own = [limit for limit in policy.limits if limit.source == policy.source]  # others are shared
            check_tools(problems, own, [tool.name for tool in each.tools], each.name)
            problems.close()
            _refuse_idle(policy, each)

    def for_tenant(self, spec: AgentSpec, tenant: str) -> AgentSpec:
        """The definition with a tenant's own rules, where it has any."""
        overlay = self._overlays.get(tenant)
        return spec.model_copy(update={"parts": (*spec.parts, overlay)}) if overlay else spec

    def _included(self, policy: Policy, above: tuple[str, ...]) -> Iterable[RuleText]:
        """Every file that a file includes once, those that another includes before it."""
        found: dict[str, RuleText] = {}
        for each in policy.include:
            if each.path in above:
                way = " and ".join(repr(path) for path in above[above.index(each.path) + 1 :])
                by = f", by way of {way}" if way else ""
                raise PolicyError(above[-1], each.at[0], f"{each.path!r} includes itself{by}.", each.at[1])
            text = self._read(each, above[-1], "included")
            below = self._included(parse(text.text, each.path, "included"), (*above, each.path))
            for part in (*below, text):
                found.setdefault(part.source, part)
        return found.values()

    def _read(self, named: FileRef, by: str, role: Role) -> RuleText:
        """The file that another names; what is wrong with it is said at the line that names it."""
        try:
            return RuleText(source=named.path, text=read(named.path, self._near, self._owner), role=role)
        except DefinitionError as error:
            raise PolicyError(by, named.at[0], str(error).partition(": ")[2], named.at[1]) from None


def _refuse_idle(policy: Policy, spec: AgentSpec) -> None:
    """Refuse what would be passed over in silence.

    Raises:
        PolicyError: at the first rule or limit that could never act.
    """
    agents = {tool.name for tool in spec.tools if tool.agent}
    for rule in policy.rules:
        if why := _idle(rule, spec, agents):
            raise PolicyError(rule.source, rule.at[0], f"rule {rule.id!r}: {why}", rule.at[1])
    for route in policy.routes:
        if route.source == policy.source and (why := _idle_route(route, spec)):  # others are shared
            raise PolicyError(route.source, route.at[0], f"route {route.id!r}: {why}", route.at[1])
    for limit in policy.limits:
        if limit.tool in agents:
            why = f"{limit.tool!r} is an agent, whose own calls are limited. Drop 'tool', or limit these."
            raise PolicyError(limit.source, limit.at[0], f"limit {limit.id!r}: {why}", limit.at[1])


def _idle(rule: Rule, spec: AgentSpec, agents: Collection[str]) -> str:
    if rule.verdict == "playbook" and not spec.playbook:
        return f"{spec.name!r} has no playbook that could answer."
    if rule.point == "tool_result" and rule.tool in agents:
        return f"{rule.tool!r} is an agent. Write the rule into its own file, at 'output'."
    is_graph = not spec.instructions
    if (
        is_graph
        and not rule.role
        and (rule.point == "output" or (rule.verdict == "redact" and rule.point != "tool_result"))
    ):
        return f"{spec.name!r} is a graph: what its agents read and answer is for their own rules."
    return ""


def _idle_route(route: Route, spec: AgentSpec) -> str:
    if route.then == "playbook" and not spec.playbook:
        return f"{spec.name!r} has no playbook that could go on."
    if not spec.instructions and route.point == "output" and (route.when != "true" or route.hours):
        return f"{spec.name!r} is a graph: what its nodes give is not judged. Drop 'when' and 'hours'."
    return ""


def _by_name(owner: str, checks: Sequence[Callable[[Facts], Any]]) -> Mapping[str, Callable[[Facts], Any]]:
    named: dict[str, Callable[[Facts], Any]] = {}
    for check in checks:
        name = getattr(check, "__name__", "")
        if not name.isidentifier():
            raise DefinitionError(f"{owner}: {check!r} in checks has no name that a rule could use; write a function.")
        if named.setdefault(name, check) is not check:
            raise DefinitionError(f"{owner}: two functions in checks are named {name!r}. Rename one.")
    return named
