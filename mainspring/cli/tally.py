"""What a dry run of rules found, and one call explained, in words. The edge."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mainspring.core.canonical import canonical
from mainspring.core.policy import Rule
from mainspring.core.rules import FAILED, SHADOW

if TYPE_CHECKING:
    from rich.table import Table

    from mainspring.replaying import Judged, Said


class Tally:
    """Counts, per rule, what it matched then and matches now. `rules` are the ids of those there are."""

    def __init__(self, rules: Iterable[str]) -> None:
        self.runs = self.unread = self.judged = self.changed = self.skipped = 0
        self._rules = list(dict.fromkeys(rules))
        self._then: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._changes: Counter[str] = Counter()

    def count(self, run: str, judged: "Judged") -> str:
        """Take one in; gives a line about it where the verdict would be another."""
        if judged.now is None:
            self.skipped += 1
            return ""
        self.judged += 1
        self._then.update(judged.then.rules)
        self._now.update(judged.now.rules)
        if judged.then.verdict == judged.now.verdict:
            return ""
        self.changed += 1
        self._changes.update({judged.now.rule or judged.then.rule})
        what = f"a call of {judged.tool}" if judged.tool else f"the {judged.point}"
        return f"{run}, step {judged.step}: {what} {_short(judged.then)} then, {_short(judged.now)} now"

    def table(self) -> "Table":
        """A line for each rule: how often it matched, and how many verdicts would be others because of it."""
        from rich.table import Table

        table = Table("rule", "matched then", "matches now", "changes", box=None, pad_edge=False)
        for name in dict.fromkeys((*self._rules, *sorted(self._then | self._now))):
            known = name in self._rules or name.startswith("base.")
            never = "" if self._now[name] else "  never" if known else "  gone"
            cells = (self._then[name], f"{self._now[name]}{never}", self._changes[name])
            table.add_row(name, *(str(each) for each in cells))
        for column in table.columns:
            column.overflow = "fold"
        return table

    def summary(self) -> str:
        """One sentence about all of it."""
        never = sum(not self._now[name] for name in self._rules)
        said = f"{self.judged} asked about in {_runs(self.runs)}: {self.changed} would be judged otherwise."
        said += f" {never} of {len(self._rules)} rules matched nothing."
        if self.skipped:
            said += f" {self.skipped} left out: their agents are not in this folder."
        return said + (f" {_runs(self.unread)} could not be read." if self.unread else "")


def explained(call: "Judged", rules: Mapping[str, Rule]) -> str:
    """A call, its verdict, and every rule that matched, with the condition as it was when the run was let in."""
    lines = [f"step {call.step}: {call.agent} calls {call.tool} {canonical(call.args)}"]
    by = f" by {call.then.rule}" if call.then.rule else ""
    lines.append(f"  {call.then.verdict}{by}{f': {call.then.reason}' if call.then.reason else ''}")
    for name in call.then.matched:
        plain = name.removeprefix(SHADOW).removeprefix(FAILED)
        rule = rules.get(plain)
        state = " only looked on," * name.startswith(SHADOW) + " could not be evaluated," * (FAILED in name)
        if rule is None:
            lines.append(f"  - {plain}:{state} not in the run's rules")
            continue
        about = f"{rule.verdict}, {rule.severity}{f', {rule.owner}' if rule.owner else ''}"
        lines.append(f"  - {plain} ({about}) in {rule.source}:{rule.at[0]}:{state or ' matched,'} since")
        lines += [f"      {line.strip()}" for line in (rule.when or f"{rule.check}(facts)").splitlines()]
    if not call.then.matched:
        lines.append("  no rule matched")
    return "\n".join(lines)


def _short(said: "Said") -> str:
    return f"{said.verdict} ({said.rule})" if said.rule else said.verdict


def _runs(number: int) -> str:
    return f"{number} run{'' if number == 1 else 's'}"
