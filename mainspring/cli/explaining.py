"""What rules said of one thing in a run, in words: the verdict, and every rule that matched, and why. The edge."""

from typing import TYPE_CHECKING

from mainspring.core.canonical import canonical
from mainspring.core.policy import Rule
from mainspring.core.rule_file import assemble
from mainspring.core.rules import FAILED, SHADOW
from mainspring.core.spec import Spec

if TYPE_CHECKING:
    from mainspring.replaying import Judged

_VERDICTS = {"malformed": "not possible, and no rule was asked", "playbook": "answered by the playbook"}
_LONGEST = 400
"""Characters of a call's arguments that are shown; the history has them all."""
_AT_RESULT = {"deny": "withheld"}


def explained(judged: "Judged", spec: Spec) -> str:
    """What was judged, its verdict, and the rules that matched, as they were when the run was let in."""
    rules = {rule.id: rule for agent in spec.agents for rule in assemble(agent.rule_texts).rules}
    then = judged.then
    words = _AT_RESULT if judged.point == "tool_result" else {}
    verdict = words.get(then.verdict) or _VERDICTS.get(then.verdict, then.verdict)
    # What is left out of a dry run for any other reason was judged by a rule.
    what = "limit" if judged.left_out.startswith("a limit") else "rule"
    by = f" by {what} {then.rule}" if then.rule else ""
    names = then.matched or ((then.rule,) if then.rule in rules else ())
    if then.verdict == "allow" and not names:
        return f"{_about(judged)}\n  allow, no rule matched"
    lines = [_about(judged), f"  {verdict}{by}{f': {then.reason}' if then.reason else ''}"]
    for name in names:
        lines += _matched(name, rules.get(name.removeprefix(SHADOW).removeprefix(FAILED)))
    return "\n".join(lines)


def has_rules(judged: "Judged", spec: Spec) -> bool:
    """Whether there was a rule to ask; a call was judged in any case."""
    if judged.point == "tool_call" or judged.then.rules:
        return True
    agents = spec.agents if judged.step == "admit" else [spec.agent(judged.agent)]
    rules = (rule for agent in agents for rule in assemble(agent.rule_texts).rules)
    return any(rule.point == judged.point and rule.tool in ("", judged.tool) for rule in rules)


def _about(judged: "Judged") -> str:
    args = canonical(judged.args)
    call = f"{judged.tool} {args if len(args) <= _LONGEST else args[:_LONGEST] + '…'}"
    what = {
        "input": "what the user wrote",
        "tool_call": f"{judged.agent} calls {call}",
        "tool_result": f"what {judged.tool} gave {judged.agent}",
        "output": f"the answer of {judged.agent}",
    }[judged.point]
    return f"{'' if judged.step == 'admit' else 'step '}{judged.step}: {what}"


def _matched(name: str, rule: Rule | None) -> list[str]:
    """A rule that matched, its place, and its condition."""
    if rule is None:
        return [f"  - {name} is not among the run's rules"]
    how = "matched, since"
    if name.startswith(SHADOW):
        how = "only looks on; it matched, since"
    if FAILED in name:
        how = "could not be evaluated:"
    about = f"{rule.verdict}, {rule.severity}{f', {rule.owner}' if rule.owner else ''}"
    place = f"{rule.source}:{rule.at[0]}" if rule.role != "base" else rule.source
    condition = rule.when or f"{rule.check}(facts)"
    return [f"  - {rule.id} ({about}) in {place}: {how}", *(f"      {line.strip()}" for line in condition.splitlines())]
