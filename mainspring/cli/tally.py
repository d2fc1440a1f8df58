"""What a dry run of rules found, in words and in numbers. The edge."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mainspring.cli.rule_list import counted
from mainspring.core.policy import OURS, Rule

if TYPE_CHECKING:
    from rich.table import Table

    from mainspring.replaying import Judged, Said


@dataclass(frozen=True)
class Change:
    """One thing that would be judged otherwise."""

    run: str
    judged: "Judged"
    now: "Said"

    def __str__(self) -> str:
        """A line about it."""
        each = self.judged
        words = {"input": "what the user wrote", "output": "the answer", "tool_result": f"the result of {each.tool}"}
        what = words.get(each.point, f"a call of {each.tool}")
        place = each.step if each.step == "admit" else f"step {each.step}"
        return f"{self.run}, {place}: {what}: {_short(each.then)} then, {_short(self.now)} now"

    def plain(self) -> dict[str, Any]:
        """The same for a program."""
        each = self.judged
        place = {"run": self.run, "step": each.step, "agent": each.agent, "point": each.point, "tool": each.tool}
        return {**place, "then": _plain(each.then), "now": _plain(self.now)}


class Tally:
    """Counts, per rule, what it matched then and matches now. `rules` are those there are."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.runs = self.unread = self.asked = self.changed = 0
        self._rules = list({rule.id: rule for rule in rules}.values())
        self._left_out: Counter[tuple[str, str]] = Counter()
        self._then: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._changes: Counter[str] = Counter()

    @property
    def is_fine(self) -> bool:
        """Whether every run could be read, rules were asked, and nothing would be judged otherwise."""
        return self.changed == 0 and self.unread == 0 and self.asked > 0

    def count(self, run: str, judged: "Judged") -> Change | None:
        """Take one in; gives the change where the verdict would be another."""
        if judged.now is None:
            self._left_out.update([(judged.left_out, judged.agent or "input")])
            return None
        self.asked += 1
        self._then.update(judged.then.rules)
        self._now.update(judged.now.rules)
        if judged.then.verdict == judged.now.verdict:
            return None
        self.changed += 1
        self._changes.update({judged.now.rule or judged.then.rule})
        return Change(run, judged, judged.now)

    def table(self) -> "Table":
        """A line for each rule: how often it matched, and how many verdicts would be others because of it."""
        from rich.table import Table

        table = Table("rule", "matched then", "matches now", "changes", "", box=None, pad_edge=False)
        for name, then, now, changes, note in self._lines():
            table.add_row(name, str(then), str(now), str(changes), note)
        for column in table.columns:
            column.overflow = "fold"
        return table

    def sums(self) -> dict[str, Any]:
        """All of it for a program."""
        keys = ("rule", "then", "now", "changes", "note")
        left_out = [{"why": why, "agent": agent, "count": n} for (why, agent), n in self._left_out.items()]
        numbers = {"runs": self.runs, "unread": self.unread, "asked": self.asked, "changed": self.changed}
        return {
            **numbers,
            "left_out": left_out,
            "rules": [dict(zip(keys, each, strict=True)) for each in self._lines()],
        }

    def summary(self) -> str:
        """Sentences about all of it."""
        if not self.runs + self.unread:
            return "No history was found, so nothing was shown."
        never = sum(not self._now[rule.id] for rule in self._rules)
        said = f"Asked {counted(self.asked, 'time')} in {counted(self.runs, 'run')}: "
        said += f"{counted(self.changed, 'verdict')} would be another."
        said += f" {never} of {counted(len(self._rules), 'rule')} matched nothing." if self._rules else ""
        said += f" {counted(self.unread, 'history').replace('historys', 'histories')} could not be judged." * bool(
            self.unread
        )
        if self._left_out:
            said += f"\nLeft out: {'; '.join(self._reasons())}."
        return said

    def _reasons(self) -> list[str]:
        whys = dict.fromkeys(why for why, _ in self._left_out)
        found: list[str] = []
        for why in whys:
            agents = {agent: n for (other, agent), n in self._left_out.items() if other == why}
            named = ", ".join(f"{agent!r} {n}" for agent, n in agents.items())
            found.append(f"{sum(agents.values())}, because {why} ({named})")
        return found

    def _lines(self) -> Iterable[tuple[str, int, int, int, str]]:
        known = {rule.id: rule for rule in self._rules}
        for name in dict.fromkeys((*known, *sorted(self._then | self._now))):
            note = ""
            if name not in known and not name.startswith(OURS):
                note = "is gone"
            elif not self._now[name] and name in known:
                note = "matched nothing"
            if name in known and known[name].shadow:
                note = f"shadow, {note}".removesuffix(", ")
            yield name, self._then[name], self._now[name], self._changes[name], note


def _plain(said: "Said") -> dict[str, Any]:
    return {key: value for key, value in asdict(said).items() if key != "reason"}


def _short(said: "Said") -> str:
    return f"{said.verdict} ({said.rule})" if said.rule else said.verdict
