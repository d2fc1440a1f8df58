"""What asking rules costs: `python -m benchmarks.rules`, or `make bench-rules`.

One agent with a tool of four arguments, rules of the shapes that rule files have, and a thread of 20 finished calls.
Processor time, the median of several rounds; rules are compiled once, as in a worker.
"""

import statistics
import time
from collections.abc import Callable

from mainspring.core.facts import Facts
from mainspring.core.messages import Done
from mainspring.core.rule_file import parse
from mainspring.core.rules import Judge
from mainspring.core.spec import ToolSpec

PER_RULE, PER_CALL = 50.0, 2.0
"""The targets: microseconds a rule, and milliseconds a call with 100 rules."""
ROUNDS, CALLS = 9, 200
SHAPES = (
    "args.amount_cents > {n}000000",
    "args.reason.contains('word{n}')",
    "args.order in [{n}, 10{n}]",
    "total.amount_cents > {n}0000000",
    "!(args.amount_cents in seen.integers) && {n} < 0",
    "results.exists(r, r.tool == 'tool{n}' && r.status == 'ok')",
    "size(flow.untrusted) > {n}",
    "time.hour > 23 + {n} || 'role{n}' in roles",
    "args.email.matches('^[a-z]{{{n}}}@example[.]org$')",
    "tenant == 'tenant{n}' && user.startsWith('u')",
)
"""None of them matches; matching costs as much for each rule that does."""
TOOL = ToolSpec(
    name="issue_refund",
    description="Refund.",
    effect="once",
    input_schema={
        "type": "object",
        "properties": {
            "order": {"type": "integer"},
            "amount_cents": {"type": "integer"},
            "reason": {"type": "string"},
            "email": {"type": "string"},
        },
    },
)
FACTS = Facts(
    agent="refund-agent",
    user="ada",
    tenant="acme",
    tool=TOOL.name,
    effect="once",
    now=1_795_000_000,
    args={"order": 1042, "amount_cents": 4000, "reason": "It arrived broken. " * 20, "email": "ada@mail.example"},
    results=tuple(
        Done(
            tool="find_order",
            args={"order": number},
            value={"number": number, "total_cents": 4000 + number, "note": "text " * 100},
            status="ok",
        )
        for number in range(20)
    ),
)


def judge(count: int, matching: int = 0) -> Judge:
    """A judge over so many rules, of which the last ones match."""
    rules = [
        f"  - {{id: r{n}, point: tool_call, tool: issue_refund, verdict: ask, reason: Because., when: "
        f'"{"true" if n >= count - matching else SHAPES[n % len(SHAPES)].format(n=n + 1)}"}}\n'
        for n in range(count)
    ]
    return Judge(parse("rules:\n" + "".join(rules) if rules else "rules: []", "bench.yaml"), [TOOL], "refund-agent")


def cost(ask: Callable[[], object]) -> float:
    """Processor time of one call in microseconds: the median of several rounds."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(CALLS):
            ask()
        rounds.append((time.process_time() - start) / CALLS * 1e6)
    return statistics.median(rounds)


def main() -> None:
    """Print the figures, each beside its target."""
    hundred, matched, none = judge(100), judge(100, matching=10), judge(0)
    base = cost(lambda: none.judge("tool_call", FACTS))
    print(f"no rule                        {base:8.1f} µs a call")
    for count in (1, 10, 100):
        some = judge(count)
        took = cost(lambda some=some: some.judge("tool_call", FACTS))
        print(f"{count:3} rules, none matches       {took:8.1f} µs a call, {(took - base) / count:6.1f} µs a rule")
    whole = cost(lambda: hundred.judge("tool_call", FACTS)) / 1000
    worst = cost(lambda: matched.judge("tool_call", FACTS)) / 1000
    per_rule = (worst * 1000 - base) / 100
    print(f"100 rules, 10 match            {worst * 1000:8.1f} µs a call, {per_rule:6.1f} µs a rule")
    print(f"µs a rule, asked one by one: {per_rule:.1f} (≤ {PER_RULE:g}) {'ok' if per_rule <= PER_RULE else 'short'}")
    print(f"ms a call with 100 rules: {whole:.2f} (≤ {PER_CALL:g}) {'ok' if whole <= PER_CALL else 'short'}")
    print(f"ms a call with 100 rules, 10 match: {worst:.2f} (≤ {PER_CALL:g}) {'ok' if worst <= PER_CALL else 'short'}")


if __name__ == "__main__":
    main()
