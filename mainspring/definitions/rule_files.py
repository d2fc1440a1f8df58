"""The rule files of one definition: its own, those it includes, and those of tenants."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mainspring.core import base_rules
from mainspring.core.facts import Facts
from mainspring.core.limit_file import check_tools
from mainspring.core.marked_yaml import Problems
from mainspring.core.policy import EMPTY, Role
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
            DefinitionError: a file is missing, or two functions have one name.
            PolicyError: a file is wrong, or includes itself.
        """
        self.checks = _by_name(owner, checks)
        self._near, self._owner = near, owner
        own = read(path, near, owner) if path else ""
        self._policy = parse(own, str(path)) if path else EMPTY
        self._parts = tuple(self._included(self._policy.include, (str(path),)))
        self._overlays = {tenant: self._read(each, "overlay") for tenant, each in self._policy.tenants.items()}
        self.fields: dict[str, Any] = {
            "rules": own,
            "rules_source": str(path),
            "deadline": self._policy.deadline,
            "deny_reasons": self._policy.deny_reasons,
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
            for rule in policy.rules:
                if rule.verdict == "playbook" and not rule.role and not each.playbook:
                    problems.wrong(rule.at, f"rule {rule.id!r}: agent {each.name!r} has no playbook that could answer.")
            own = [limit for limit in policy.limits if limit.source == policy.source]  # others are shared
            check_tools(problems, own, [tool.name for tool in each.tools], each.name)
            problems.close()

    def for_tenant(self, spec: AgentSpec, tenant: str) -> AgentSpec:
        """The definition with a tenant's own rules, where it has any."""
        overlay = self._overlays.get(tenant)
        return spec.model_copy(update={"parts": (*spec.parts, overlay)}) if overlay else spec

    def _included(self, paths: Iterable[str], above: tuple[str, ...]) -> Iterable[RuleText]:
        """Every file once, those that another includes before it."""
        found: dict[str, RuleText] = {}
        for path in paths:
            if path in above:
                raise PolicyError(above[-1], 0, f"{path!r} includes itself, by way of {' and '.join(above)}.")
            text = self._read(path, "included")
            for each in (*self._included(parse(text.text, path, "included").include, (*above, path)), text):
                found.setdefault(each.source, each)
        return found.values()

    def _read(self, path: str, role: Role) -> RuleText:
        return RuleText(source=path, text=read(path, self._near, self._owner), role=role)


def _by_name(owner: str, checks: Sequence[Callable[[Facts], Any]]) -> Mapping[str, Callable[[Facts], Any]]:
    named: dict[str, Callable[[Facts], Any]] = {}
    for check in checks:
        name = getattr(check, "__name__", "")
        if not name.isidentifier():
            raise DefinitionError(f"{owner}: {check!r} in checks has no name that a rule could use; write a function.")
        if named.setdefault(name, check) is not check:
            raise DefinitionError(f"{owner}: two functions in checks are named {name!r}. Rename one.")
    return named
