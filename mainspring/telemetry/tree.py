"""Shows a trace as a tree for a terminal. Neither side; pure: it is told what time it is."""

from collections import defaultdict
from datetime import UTC, datetime

from rich.text import Text
from rich.tree import Tree

from mainspring.telemetry import attributes as a
from mainspring.telemetry.spans import Span
from mainspring.telemetry.trace import Trace, orphans

SECOND = 1_000_000_000
UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
VERDICTS = {"allow": "green", "ask": "yellow", "deny": "red", "malformed": "red"}


def render(trace: Trace, now: int) -> Tree:
    """The tree of a trace; `now` is nanoseconds since 1970, for what still goes on."""
    root = trace.root
    tree = Tree(_heading(trace, now), guide_style="dim")
    below: dict[str, list[Span]] = defaultdict(list)
    lost = {span.id for span in orphans(trace)}
    top = root.id if root else ""
    for span in trace.spans:
        if span is not root:
            below[top if span.id in lost else span.parent].append(span)
    _grow(tree, below, top, now)
    return tree


def lasted(nanoseconds: int) -> str:
    """A duration as people say it: `12 ms`, `4.2 s`, `3 min 5 s`, `2 h 4 min`, `3 d 1 h`."""
    seconds = max(nanoseconds, 0) / SECOND
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for large, unit, small, smaller in UNITS:
        if seconds >= large:
            return f"{int(seconds // large)} {unit} {int(seconds % large // small)} {smaller}"
    return f"{seconds:.1f} s"


def money(microusd: int) -> str:
    """A cost in US dollars, with as many digits as it takes to see it."""
    dollars = microusd / 1_000_000
    return f"${dollars:.2f}" if dollars >= 1 else f"${dollars:.6f}".rstrip("0").rstrip(".")


def _grow(tree: Tree, below: dict[str, list[Span]], parent: str, now: int) -> None:
    for span in below.get(parent, ()):
        _grow(tree.add(_label(span, now)), below, span.id, now)


def _heading(trace: Trace, now: int) -> Text:
    root = trace.root
    if root is None:
        return Text(f"run {trace.run}, whose own span is not there yet", style="bold")
    text = Text(root.name.partition(" ")[2], style="bold")
    text.append(f" {root.text(a.OUTCOME) or ('waiting' if trace.waiting else 'running')}", _style(root))
    facts = [_time(root, now), *_used(trace), root.error if root.error != root.text(a.OUTCOME) else ""]
    text.append("".join(f" · {fact}" for fact in facts if fact), "not bold")
    return text


def _used(trace: Trace) -> list[str]:
    calls = [span for span in trace.spans if span.text(a.OPERATION) == "chat"]
    tools = sum(span.text(a.OPERATION) == "execute_tool" for span in trace.spans)
    tokens = sum(span.number(a.INPUT_TOKENS) + span.number(a.OUTPUT_TOKENS) for span in calls)
    unpriced = any(a.COST not in span.attributes for span in calls if not span.error and span.end)
    cost = "cost not known" if unpriced else money(sum(span.number(a.COST) for span in calls))
    return [_count(len(calls), "model call"), _count(tools, "tool call"), _count(tokens, "token"), cost]


def _label(span: Span, now: int) -> Text:
    text = Text(span.name, style="red" if span.error else "")
    text.append(f"  {_time(span, now)}", "dim")
    for fact, style in (*_facts(span), *_verdicts(span)):
        text.append(" · ", "dim")
        text.append(fact, style)
    return text


def _facts(span: Span) -> list[tuple[str, str]]:
    tokens = span.number(a.INPUT_TOKENS) + span.number(a.OUTPUT_TOKENS)
    cost, notes, why = span.number(a.COST), span.number(a.NOTES), span.attributes.get(a.WHY)
    denied = span.text(a.STATUS) == "denied" or span.text(a.VERDICT) == "deny"
    facts = (
        (_count(notes, "note") + " recalled" if notes else "", ""),
        (_count(tokens, "token") if tokens else "", "dim"),
        (money(cost) if cost else "", "dim"),
        (f"because of {', '.join(why)}" if isinstance(why, tuple) else "", "dim"),
        ("the message could not be used" if a.UNUSABLE in span.attributes else "", "red"),
        (f"permitted by request {span.text(a.REQUEST)}" if span.text(a.PERMIT) == "person" else "", ""),
        ("denied" if denied else "", "red"),
        (_waiting(span) if a.ASKED in span.attributes else "", "yellow"),
        (f"rule {span.text(a.RULE)}" if span.text(a.RULE) else "", ""),
        (span.error, "red"),
    )
    return [(fact, style) for fact, style in facts if fact]


_ASKED = {"outcome": "did it happen?", "question": "what is the answer?", "review": "may it be given?"}


def _waiting(span: Span) -> str:
    request, decision = f"request {span.text(a.REQUEST)}", span.text(a.DECISION)
    if span.end is None:
        deadline = span.number(a.DEADLINE)
        until = f" Until {datetime.fromtimestamp(deadline, UTC):%Y-%m-%d %H:%M} UTC" if deadline else ""
        return f"{request} is open: {_ASKED.get(span.text(a.ASKED), 'may it run?')}{until}"
    if decision == "expired":
        return f"{request}: nobody decided in time"
    if not decision:
        return f"{request}: not decided"
    reason = f" ({span.text(a.REASON)})" if span.text(a.REASON) else ""
    return f"{request}: {decision}{reason}, by {span.text(a.DECIDED_BY)}"


def _verdicts(span: Span) -> list[tuple[str, str]]:
    said: list[tuple[str, str]] = []
    for event in span.events:
        verdict, rule = str(event.attributes.get(a.VERDICT, "")), event.attributes.get(a.RULE)
        where = f" (rule {rule})" if rule else ""
        said.append((f"{event.attributes.get(a.VERDICT_TOOL, '')}: {verdict}{where}", VERDICTS.get(verdict, "")))
    return said


def _time(span: Span, now: int) -> str:
    return lasted(span.end - span.start) if span.end is not None else f"for {lasted(now - span.start)} now"


def _style(span: Span) -> str:
    return "red" if span.error else "green" if span.text(a.OUTCOME) == "completed" else "yellow"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
