"""Every ticket, from the mail to its end: real server, graph, shop and mail server; playbook and language models."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import connect as open_file
from typing import Any

import pytest

from mainspring.cli.demo.ticket import ASKS
from mainspring.contracts.run import RunResult
from mainspring.core.canonical import Json
from mainspring.ports.model import ModelRequest
from mainspring.serve import Project
from mainspring.telemetry import attributes as a
from mainspring.telemetry.projection import project
from mainspring.telemetry.trace import Trace, orphans
from mainspring.testing import OpenAIServer, ScriptedModel, call, say
from mainspring.testing.bench import Bench, TestRun
from mainspring.testing.scripted import Step
from tests.app.tickets import EXPECTED, NOTED, Expected, given, refund, reply, scripted
from tools.shop import refunds
from tools.sink import MailSink
from workflows.refund_desk import refund_desk

MODELS = ["playbook", "scripted"]
MAIN = "damaged-grinder"


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shop of its own for each test; gives its file."""
    file = tmp_path / "shop.db"
    monkeypatch.setenv("SHOP_DB", str(file))
    assert len(refunds()) == 10  # makes it, with the refunds of other people
    return file


@pytest.fixture(autouse=True)
def sink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailSink]:
    """A mail server of its own for each test."""
    with MailSink(tmp_path / "mail") as running:
        monkeypatch.setenv("SMTP_HOST", running.host)
        monkeypatch.setenv("SMTP_PORT", str(running.port))
        yield running


async def start(bench: Bench, name: str, model: str) -> TestRun:
    """Start the run of a ticket."""
    return await bench.start(refund_desk, given(name), model=scripted(name) if model == "scripted" else None)


async def ended(run: TestRun, expected: Expected) -> RunResult:
    """What a run ends with, once whoever is asked has approved."""
    if expected.asks:
        (request,) = await run.waiting()
        await run.approve(request)
    async with asyncio.timeout(30):  # a run that asks where the table does not say so would wait for a day
        return await run.result()


async def traced(run: TestRun, bench: Bench) -> Trace:
    """The run's trace, which must be whole."""
    trace = await project(run.handle.fetch_history_events(), bench.client.data_converter)
    assert orphans(trace) == ()
    assert {span.trace for span in trace.spans} == {trace.spans[0].trace}
    return trace


def rules(trace: Trace, verdict: str) -> tuple[str, ...]:
    """The rules that gave this verdict, in the order of the calls."""
    events = [event for span in trace.spans for event in span.events if event.name == a.VERDICT]
    return tuple(str(each.attributes[a.RULE]) for each in events if each.attributes[a.VERDICT] == verdict)


def rows(shop: Path, sql: str) -> list[tuple[Any, ...]]:
    """What the shop's file says."""
    with closing(open_file(shop)) as file:
        return file.execute(sql).fetchall()


def paid(shop: Path) -> list[tuple[int, str]]:
    """What was refunded by our runs: cents, and the key of the call."""
    return rows(shop, "SELECT amount_cents, key FROM refunds WHERE key NOT LIKE 'seed-%'")


def test_the_table_is_whole():
    """The demo waits for an approval exactly where the table says that a person is asked."""
    assert set(ASKS) == {name for name, expected in EXPECTED.items() if expected.asks}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", EXPECTED)
async def test_ticket(mainspring: Bench, shop: Path, sink: MailSink, name: str, model: str):
    """A ticket ends as the table says: outcome, who was asked, what was denied, money, mail, case, trace."""
    expected = EXPECTED[name]
    run = await start(mainspring, name, model)

    result = await ended(run, expected)
    trace = await traced(run, mainspring)

    state: dict[str, Any] = dict(result.result)  # type: ignore[arg-type]
    assert (state["kind"], state["language"], state["outcome"]) == (expected.kind, expected.language, expected.outcome)
    assert rules(trace, "ask") == ((expected.asks,) if expected.asks else ())
    assert rules(trace, "deny") == (expected.obeying if model == "scripted" and expected.obeying else expected.denied)
    steps = [s for s in trace.spans if s.text(a.TOOL) == "issue_refund" and s.text(a.STATUS) == "ok"]
    assert paid(shop) == [(expected.cents, f"{trace.run}:{step.text(a.STEP)}") for step in steps]
    assert len(steps) == bool(expected.cents)
    (mail,) = sink.mails
    assert (mail["To"], mail.get_content().strip()) == (given(name)["user"], result.answer)
    assert expected.says in result.answer or model == "scripted"
    cases = rows(shop, "SELECT number, reason, customer, ticket FROM cases")
    if not expected.case:
        assert cases == []
        return
    assert cases == [(state["case"], state["note"], given(name)["user"], given(name)["input"])]
    assert expected.case in state["note"] or model == "scripted"


@pytest.mark.parametrize("model", MODELS)
async def test_a_customer_who_writes_again_is_known(mainspring: Bench, model: str):
    """What the first run remembered of Maria, the second recalls; the playbook's mail says so."""
    first = await start(mainspring, MAIN, model)
    await ended(first, EXPECTED[MAIN])

    again = await start(mainspring, "maria-again", model)
    result = await ended(again, EXPECTED["maria-again"])

    notes = [
        span.number(a.NOTES)
        for run in (first, again)
        for span in (await traced(run, mainspring)).spans
        if a.NOTES in span.attributes
    ]
    assert notes == [0, 1]
    assert "good to hear from you again" in result.answer or model == "scripted"


async def test_nobody_else_is_greeted_as_known(mainspring: Bench):
    """What is remembered of one customer is not recalled for another."""
    await ended(await start(mainspring, MAIN, "playbook"), EXPECTED[MAIN])

    result = await ended(await start(mainspring, "small-refund", "playbook"), EXPECTED["small-refund"])

    assert "again" not in result.answer


async def test_a_person_denies(mainspring: Bench, shop: Path, sink: MailSink):
    """The customer reads the reason of the person who denied, and nothing is paid."""
    run = await start(mainspring, "german", "playbook")

    (request,) = await run.waiting()
    await run.deny(request, "Bitte schicken Sie uns Fotos.")
    result = await run.result()

    assert (dict(result.result)["outcome"], paid(shop)) == ("declined", [])  # type: ignore[arg-type]
    assert (sink.mails[0]["Subject"], sink.mails[0]["To"]) == ("Ihre Nachricht an uns", given("german")["user"])
    assert "Unser Grund: Bitte schicken Sie uns Fotos." in sink.mails[0].get_content()


LAWYER = "My lawyer will write to you about order 1042."


@pytest.mark.parametrize(
    ("script", "case"),
    [
        (None, "Sorted as 'other'; nothing else is noted."),
        ({"triage": [say({"kind": "other", "language": "en"})]}, "Sorted as 'other'; nothing else is noted."),
        (
            {
                "triage": [say({"kind": "refund", "language": "en"})],
                "refund-agent": [reply("hand_over", "A colleague will answer.", "Speaks of a lawyer.")],
            },
            "Speaks of a lawyer.",
        ),
    ],
)
async def test_a_lawyer_is_for_a_person(
    mainspring: Bench, shop: Path, sink: MailSink, script: dict[str, list[Step]] | None, case: str
):
    """Whether triage or the agent sees it: a colleague gets the reason, the customer a mail that says so."""
    ticket: Json = {"input": LAWYER, "user": "maria.lindqvist@example.com"}
    run = await mainspring.start(refund_desk, ticket, model=ScriptedModel(script) if script else None)

    await run.result()

    assert rows(shop, "SELECT reason, ticket FROM cases") == [(case, LAWYER)]
    assert ["A colleague will" in mail.get_content() for mail in sink.mails] == [True]


def begins(request: ModelRequest) -> Step:
    """The first message of either agent: a provider is told instructions, not the agent's name."""
    if request.instructions.startswith("Sort"):
        return say({"kind": "refund", "language": "en"})
    return call("find_order", order=1042)


async def test_the_main_ticket_with_an_openai_client(
    mainspring: Bench, shop: Path, sink: MailSink, monkeypatch: pytest.MonkeyPatch
):
    """The real client of a provider, given by name and environment alone, does the main ticket."""
    script: list[Step] = [begins, *refund(1042, 8900)[1:], NOTED, reply("refunded", "We have refunded EUR 89.00.")]
    with OpenAIServer(*script) as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        settings = mainspring.settings(model="openai:gpt-desk")
        await mainspring.work(Project(refund_desk), settings)
        run = await mainspring.submit(refund_desk.name, given(MAIN), settings.task_queue)
        result = await ended(run, EXPECTED[MAIN])

    assert {request["model"] for request in provider.requests} == {"gpt-desk"}
    assert result.totals.model_calls == len(provider.requests) == 6
    trace = await traced(run, mainspring)
    assert (rules(trace, "ask"), [cents for cents, _ in paid(shop)]) == (("over-eur-50",), [8900])
    assert {s.text(a.PROVIDER) for s in trace.spans if s.text(a.OPERATION) == "chat"} == {"openai"}
    assert sink.mails[0].get_content().strip() == "We have refunded EUR 89.00."
