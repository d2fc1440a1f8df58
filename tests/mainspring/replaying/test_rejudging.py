"""Recorded runs and the rules of today: the same rules say the same of everything, others show what they change."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mainspring import Agent, Graph, tool
from mainspring.replaying import Entry, Judged, Past, Today, asked_about, read, read_past, rejudge
from mainspring.serve import Project, data_converter, open_guards
from mainspring.settings import Settings
from mainspring.testing import ScriptedModel, call, calls, say
from mainspring.testing.bench import Bench, TestRun
from tests.histories import scenarios
from tests.histories.scenarios import EXECUTIONS

HISTORIES = Path(__file__).parents[2] / "histories"
CARD = "4111 1111 1111 1111"
PLAYBOOK = """
intents: {any: ['.*']}
rows:
  - {id: all, when: 'true', answer: By the book.}
"""
RULES = """
rules:
  - {id: shout, point: input, when: "input.text == 'PAY'", verdict: deny, reason: Calm down.}
  - {id: seen, point: input, when: "input.text.contains('Ada')", verdict: deny, reason: No., shadow: true}
  - {id: legal, point: input, when: "input.text.contains('lawyer')", verdict: playbook, reason: Legal.}
  - {id: no-cards, point: input, verdict: redact, redact: card, with: mask, reason: Cards.}
  - {id: old, point: tool_result, tool: find, when: result.age > 60, verdict: deny, reason: Not for you.}
  - {id: cards, point: tool_result, tool: find, verdict: redact, redact: card, reason: Cards.}
  - {id: over-50, point: tool_call, tool: charge, when: total.cents > 50, verdict: deny, reason: Over 50.}
  - {id: promise, point: output, when: "output.text.contains('promise')", verdict: deny, reason: Promise nothing.}
limits:
  - {id: often, point: input, per: [user], at_most: 50, every: 1d, reason: Often.}
"""


@tool("idempotent", returns="trusted", accepts="external")
def charge(cents: int) -> str:
    """Charge."""
    return f"charged {cents}"


@tool("read", returns="trusted")
def find(age: int) -> dict[str, Any]:
    """Look a customer up."""
    return {"age": age, "card": CARD}


@dataclass(frozen=True)
class Desk:
    """An agent over a rule file, and its runs judged again by other rules."""

    folder: Path
    bench: Bench

    def agent(self, rules: str, name: str = "then") -> Agent[str]:
        """The agent with these rules."""
        for file, text in ((f"{name}.yaml", rules), ("desk.playbook.yaml", PLAYBOOK)):
            (self.folder / file).write_text(text)
        playbook = self.folder / "desk.playbook.yaml"
        return Agent(
            "desk",
            instructions="Work.",
            tools=[charge, find],
            rules=self.folder / f"{name}.yaml",
            playbook=playbook,
            input="user",
        )

    async def past(self, run: TestRun) -> Past:
        """What the history of a run holds."""
        past = await read_past(Entry(run.handle.id, await run.history()), data_converter())
        assert past
        return past

    async def judged(self, past: Past, rules: str) -> list[Judged]:
        """A run judged again by these rules."""
        return [each async for each in rejudge(past, today(self.agent(rules, "now")))]


@pytest.fixture
def desk(mainspring: Bench, tmp_path: Path) -> Desk:
    """The agent and its runs."""
    return Desk(tmp_path, mainspring)


def today(*parts: Agent[Any] | Graph) -> Today:
    """The rules of these agents and graphs."""
    project = Project(*parts)
    return Today(project, open_guards(project, Settings(), read_only=True), "test:model")


def changes(judged: list[Judged]) -> list[tuple[str, str, str, str]]:
    """What would be judged otherwise: step, point, the verdict then, and now."""
    return [
        (e.step, e.point, e.then.verdict, e.now.verdict) for e in judged if e.now and e.now.verdict != e.then.verdict
    ]


@pytest.mark.parametrize("name", EXECUTIONS)
async def test_the_same_rules_say_the_same_of_every_recorded_run(name: str) -> None:
    """Whatever feature a history has: each thing in it is judged again, with the same verdict by the same rule."""
    parts = [each for each in vars(scenarios).values() if isinstance(each, Agent | Graph)]
    (entry,) = read(HISTORIES / f"{name}.json")
    past = await read_past(entry, data_converter())
    assert past

    judged = [each async for each in rejudge(past, today(*parts))]

    assert len(judged) >= len(asked_about(past)) - sum(each.point == "tool_result" for each in asked_about(past))
    assert {each.left_out for each in judged if each.now is None} <= {"it was withheld then"}
    assert [(e.step, e.then, e.now) for e in judged if e.now and _key(e.then) != _key(e.now)] == []


def _key(said: Any) -> tuple[Any, ...]:
    return said.verdict, said.rule, said.matched


async def test_the_same_rules_say_the_same_at_every_point(desk: Desk) -> None:
    """Refusals, the playbook, redactions and withheld results: judged again, all is as it was."""
    model = ScriptedModel(
        calls(call("find", age=40), call("find", age=70), call("charge", cents=40), call("charge", cents=20)),
        say("I promise."),
        say("Done."),
    )
    worked = await desk.bench.start(desk.agent(RULES), f"Charge Ada's {CARD}.", model=model)
    await worked.result()
    by_book = await desk.bench.start(desk.agent(RULES), "My lawyer!", model=ScriptedModel())
    await by_book.result()
    refused = await desk.bench.start(desk.agent(RULES), "PAY", model=ScriptedModel())
    with pytest.raises(Exception, match="failed"):
        await refused.result()

    for run in (worked, by_book, refused):
        judged = await desk.judged(await desk.past(run), RULES)
        assert changes(judged) == []
        told = {each.left_out for each in judged if each.now is None}
        assert told <= {"it was withheld then"}
    said = {each.step: each.now for each in await desk.judged(await desk.past(refused), RULES)}
    assert said["admit"].rule == "shout"  # type: ignore[union-attr]


async def test_what_was_asked_is_read_from_the_history(desk: Desk) -> None:
    """Every verdict with its rule, those that only look on too, in the order of the steps."""
    model = ScriptedModel(
        calls(call("find", age=70), call("charge", cents=40), call("charge", cents=20)), say("I promise."), say("Done.")
    )
    run = await desk.bench.start(desk.agent(RULES), "Charge Ada.", model=model)
    await run.result()

    asked = asked_about(await desk.past(run))

    told = [(e.step, e.point, e.then.verdict, *e.then.matched) for e in asked if e.then.rules]
    assert sorted(told) == [
        ("2", "tool_result", "deny", "cards", "old"),
        ("4", "tool_call", "deny", "over-50"),
        ("5", "output", "deny", "promise"),
        ("admit", "input", "allow", "no-cards", "shadow:seen"),
    ]
    assert [e.then.reason for e in asked if e.point == "tool_result" and e.step == "2"] == ["Not for you."]


CHANGED = [
    ("- {id: n, point: input, when: 'true', verdict: deny, reason: N.}", [("admit", "input", "allow", "deny")]),
    (
        "- {id: n, point: input, when: 'true', verdict: playbook, reason: N.}",
        [("1", "input", "allow", "playbook")],
    ),
    (
        "- {id: n, point: tool_call, tool: charge, when: args.cents == 20, verdict: deny, reason: N.}",
        [("5", "tool_call", "allow", "deny")],
    ),
    (
        "- {id: n, point: tool_call, tool: charge, when: total.cents > 50, verdict: deny, reason: N.}",
        [("5", "tool_call", "allow", "deny")],
    ),
    (
        "- {id: n, point: tool_result, tool: find, when: result.age == 40, verdict: deny, reason: N.}",
        [("2", "tool_result", "allow", "deny")],
    ),
    (
        "- {id: n, point: tool_result, tool: charge, when: size(results) == 1, verdict: deny, reason: N.}",
        [("4", "tool_result", "allow", "deny"), ("5", "tool_result", "allow", "deny")],
    ),
    (
        "- {id: n, point: tool_result, verdict: redact, redact: card, reason: N.}",
        [("2", "tool_result", "allow", "redact")],
    ),
    ("- {id: n, point: input, verdict: redact, redact: card, reason: N.}", [("1", "input", "allow", "redact")]),
    ("- {id: n, point: output, verdict: redact, redact: email, reason: N.}", [("6", "output", "allow", "redact")]),
    (
        "- {id: n, point: output, when: output.length > 3, verdict: deny, reason: N.}",
        [("6", "output", "allow", "deny")],
    ),
    ("- {id: n, point: output, when: output.length > 3, verdict: deny, reason: N., shadow: true}", []),
    ("- {id: n, point: tool_call, when: \"user == 'ada'\", verdict: allow, reason: N.}", []),
]


async def test_a_changed_rule_shows_exactly_what_it_changes(desk: Desk) -> None:
    """At every point, and nowhere else."""
    model = ScriptedModel(
        call("find", age=40), calls(call("charge", cents=40), call("charge", cents=20)), say("Mail a@example.com.")
    )
    run = await desk.bench.start(desk.agent("rules: []"), {"input": f"{CARD}", "user": "ada"}, model=model)
    await run.result()
    past = await desk.past(run)

    for rule, expected in CHANGED:
        judged = await desk.judged(past, f"rules:\n  {rule}\n")
        assert (rule, sorted(changes(judged))) == (rule, expected)
        assert all("n" in e.now.rules for e in judged if e.now and e.now.verdict != e.then.verdict), rule


async def test_a_session(desk: Desk) -> None:
    """Each message is asked about as it comes; the start of a session has no words to ask about."""
    session = await desk.bench.start(desk.agent(RULES), model=ScriptedModel(say("Hello!"), say("Hm.")))
    for text in ("Hi Ada.", "My lawyer!", "Well."):
        await session.reply((await session.send(text)).message)
    refused = (await session.send("PAY")).message
    assert (await session.reply(refused)).status == "failed"
    past = await desk.past(session)

    def inputs(judged: list[Judged]) -> list[tuple[str, str, tuple[str, ...]]]:
        return [(e.step, e.then.verdict, e.then.matched) for e in judged if e.point == "input"]

    again = await desk.judged(past, RULES)
    assert inputs(again)[:3] == [
        ("1", "allow", ("no-cards", "shadow:seen")),
        ("2", "playbook", ("no-cards", "legal")),
        ("3", "allow", ("no-cards",)),
    ]
    assert inputs(again)[3][1:] == ("deny", ("no-cards", "shout"))
    assert changes(again) == []
    stricter = RULES.replace("input.text == 'PAY'", "input.text.startsWith('Hi')")
    assert changes(await desk.judged(past, stricter)) == [
        ("1", "input", "allow", "deny"),
        ("4", "input", "deny", "allow"),
    ]


async def test_what_a_limit_refused(desk: Desk) -> None:
    """It is no rule's verdict, so it is not asked about again."""
    limit = "{id: once, point: tool_call, tool: charge, at_most: 1, every: 1d, reason: One a day.}"
    rules = f"limits:\n  - {limit}\nrules: []\n"
    model = ScriptedModel(calls(call("charge", cents=1), call("charge", cents=2)), say("Done."))
    run = await desk.bench.start(desk.agent(rules), "Charge twice.", model=model)
    await run.result()

    judged = await desk.judged(await desk.past(run), rules)

    assert changes(judged) == []
    assert [each.left_out for each in judged if each.now is None] == ["a limit refused it then"]


async def test_a_tenant(desk: Desk) -> None:
    """A run is judged by the rules of its tenant."""
    (desk.folder / "acme.yaml").write_text(
        "rules:\n  - {id: a, point: tool_call, tool: charge, when: 'true', verdict: deny, reason: No.}\n"
    )
    tenants = f"tenants: {{acme: {desk.folder}/acme.yaml}}\nrules: []\n"
    pasts: list[Past] = []
    for tenant in ("acme", "other"):
        model = ScriptedModel(call("charge", cents=1), say("Done."))
        run = await desk.bench.start(desk.agent("rules: []"), {"input": "Go.", "tenant": tenant}, model=model)
        await run.result()
        pasts.append(await desk.past(run))

    assert [changes(await desk.judged(past, tenants)) for past in pasts] == [[("2", "tool_call", "allow", "deny")], []]


async def test_a_tool_that_is_gone(desk: Desk) -> None:
    """Its calls are left out, or malformed as they would be now."""
    model = ScriptedModel(call("charge", cents=1), say("Done."))
    run = await desk.bench.start(desk.agent("rules: []"), "Go.", model=model)
    await run.result()
    now: Callable[[], Agent[str]] = lambda: Agent("desk", instructions="Work.", tools=[find])  # noqa: E731
    judged = [each async for each in rejudge(await desk.past(run), today(now()))]

    assert changes(judged) == [("2", "tool_call", "allow", "malformed")]
    assert [each.left_out for each in judged if each.now is None] == ["its tool is not in this folder"]


@pytest.mark.parametrize("mode", ["step", "turn", "fast"])
async def test_the_thread_is_as_it_was(desk: Desk, mode: Any) -> None:
    """In each mode rules see the calls before, and none that came later or at the same time."""
    model = ScriptedModel(calls(call("find", age=1), call("find", age=2)), call("find", age=3), say("Done."))
    agent: Agent[str] = Agent("desk", instructions="Work.", tools=[charge, find], mode=mode)
    run = await desk.bench.start(agent, "Find them.", model=model)
    await run.result()
    past = await desk.past(run)

    for point in ("tool_call", "tool_result"):
        rule = f"{{id: n, point: {point}, tool: find, when: size(results) == 2, verdict: deny, reason: N.}}"
        assert changes(await desk.judged(past, f"rules:\n  - {rule}\n")) == [("5", point, "allow", "deny")]


async def test_it_is_judged_at_the_time_it_was(tmp_path: Path) -> None:
    """A rule about the day is asked about the day of the run."""
    (entry,) = read(HISTORIES / "malformed.json")
    past = await read_past(entry, data_converter())
    assert past
    assert entry.history
    day = entry.history.events[0].event_time.ToDatetime().date()
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "rules:\n  - {id: day, point: tool_call, when: \"time.date == 'DAY'\", verdict: deny, reason: N.}\n"
        "  - {id: start, point: input, when: \"time.date == 'DAY'\", verdict: deny, reason: N.}\n".replace(
            "DAY", str(day)
        )
    )
    clerk: Agent[str] = Agent("clerk", instructions="Work.", tools=[scenarios.look_up, scenarios.pay], rules=rules)

    judged = [each async for each in rejudge(past, today(clerk))]

    assert changes(judged) == [("admit", "input", "allow", "deny"), ("4", "tool_call", "allow", "deny")]
