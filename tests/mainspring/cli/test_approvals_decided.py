"""`mainspring approvals --decided`: what was proposed and what people made of it, from histories."""

import json
from base64 import b64encode
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHistory

from mainspring import Agent
from mainspring.replaying import Decided, Entry, read, read_decisions
from mainspring.serve import data_converter
from mainspring.testing import ScriptedModel, call, calls, say
from mainspring.testing.bench import TestRun
from tests.mainspring.cli.office import Office, office, pay, payer
from tests.mainspring.durable.conftest import Move, move

__all__ = ["move", "office"]
HISTORIES = Path(__file__).parents[2] / "histories"
REVIEW = "rules:\n  - {id: look, point: output, when: 'true', verdict: ask, reason: Look.}\n"
"""Calls of `once` tools ask a person without a rule."""


async def decisions(run: TestRun) -> list[Decided]:
    """What a run's history says was decided."""
    return await read_decisions(Entry("run", await run.history()), data_converter())


async def test_calls(office: Office) -> None:
    """A change is beside what was proposed; what is denied came to nothing; nobody's silence has nobody's name."""
    asked = calls(*(call("pay", cents=each) for each in (10, 20, 30, 40)))
    await office.open(payer(), model=ScriptedModel(asked, say("Done.")))
    run = await office.start("payer", 4)
    first, second, third, _ = await run.waiting()
    await run.approve(first, "Half of it.", args={"cents": 5})
    await run.deny(second, "Too much.")
    await run.update(f"approve {third.id}: pay")
    await run.skip(timedelta(days=2))
    await run.result()

    found = await decisions(run)

    assert [(each.request, each.kind, each.tool, each.agent, each.choice) for each in found] == [
        ("1", "approval", "pay", "payer", "approve"),
        ("2", "approval", "pay", "payer", "deny"),
        ("3", "approval", "pay", "payer", "approve"),
        ("4", "approval", "pay", "payer", "expired"),
    ]
    assert [each.proposed for each in found] == [{"cents": 10}, {"cents": 20}, {"cents": 30}, {"cents": 40}]
    assert [each.decided for each in found] == [{"cents": 5}, None, {"cents": 30}, None]
    assert [each.edited for each in found] == [("cents",), (), (), ()]
    assert [each.comment for each in found] == ["Half of it.", "Too much.", "", ""]
    assert [bool(each.by) for each in found] == [True, True, True, False]


async def test_on_the_command_line(office: Office) -> None:
    """The table has no words of persons without `--args`; `--json` is the record of edits; filters hold."""
    await office.open(payer(), model=ScriptedModel(call("pay", cents=8123), say("Done.")))
    run = await office.start("payer")
    await run.approve((await run.waiting())[0], "Checked.", args={"cents": 4567})
    await run.result()

    plain, full = await office.approvals("--decided"), await office.approvals("--decided", "--args")

    assert plain.stdout.endswith("1 decision.\n")
    assert "cents" in plain.stdout
    assert not any(word in plain.stdout for word in ("8123", "4567", "Checked."))
    assert all(word in full.stdout for word in ('{"cents":8123}', '{"cents":4567}', "Checked."))
    told = json.loads((await office.approvals("--decided", "--json")).stdout)
    assert list(told) == [
        *("run", "request", "kind", "tool", "agent", "choice", "proposed", "decided", "comment", "by", "at")
    ]
    assert (told["proposed"], told["decided"], told["comment"]) == ({"cents": 8123}, {"cents": 4567}, "Checked.")
    assert "Nothing that is asked for was decided." in (await office.approvals("--decided", "--tool", "x")).stdout
    assert "1 decision." in (await office.approvals("--decided", "--tool", "pay", "--limit", "1")).stdout


async def test_answers_under_review(office: Office, tmp_path: Path) -> None:
    """The text that was proposed, and the one that was given in its place; or nothing, where it was denied."""
    (tmp_path / "review.yaml").write_text(REVIEW)
    agent = Agent("clerk", instructions="Answer.", tools=[pay], rules=tmp_path / "review.yaml")
    await office.open(agent, model=ScriptedModel(say("Yo."), say("Hello."), say("Never.")))
    run = await office.start("clerk")
    await run.deny((await run.waiting())[0], "Be polite.")
    while [each.id for each in await run.waiting()] != ["2"]:
        pass
    await run.approve((await run.waiting())[0], answer="Good day.")
    await run.result()

    found = await decisions(run)

    assert [(each.kind, each.proposed, each.decided) for each in found] == [
        ("review", "Yo.", None),
        ("review", "Hello.", "Good day."),
    ]
    assert [each.edited for each in found] == [(), ("answer",)]


async def test_data_that_is_a_text(office: Office) -> None:
    """Plain words in the place of a form are the comment."""
    await office.open(payer(), model=ScriptedModel(call("pay", cents=10), say("Done.")))
    run = await office.start("payer")
    await run.update("deny 1: no reason given")
    await run.result()
    history: Any = (await run.history()).to_json_dict()
    payload = {"metadata": {"encoding": b64encode(b"json/plain").decode()}, "data": b64encode(b'"Too much."').decode()}
    for event in history["events"]:
        accepted = event.get("workflowExecutionUpdateAcceptedEventAttributes")
        if accepted:
            accepted["acceptedRequest"]["input"]["args"] = {"payloads": [payload]}

    (found,) = await read_decisions(Entry("run", WorkflowHistory.from_json("run", history)), data_converter())

    assert (found.choice, found.comment) == ("deny", "Too much.")


async def test_after_continuing_as_new(office: Office, move: Move) -> None:
    """What one execution asked and the next decided is found in that one, with what was proposed."""
    await office.open(payer(), model=ScriptedModel(call("pay", cents=10), say("Done.")))
    run = await office.start("payer")
    await move(run)
    await run.approve((await run.waiting())[0], args={"cents": 5})
    await run.result()

    assert [(each.proposed, each.decided) for each in await decisions(run)] == [({"cents": 10}, {"cents": 5})]


async def test_what_failed_after_it_was_let_in(office: Office) -> None:
    """An update that was accepted and then failed has decided nothing."""
    await office.open(payer(), model=ScriptedModel(call("pay", cents=10), say("Done.")))
    run = await office.start("payer")
    await run.approve((await run.waiting())[0], "Fine.", args={"cents": 5})
    await run.result()
    history: Any = (await run.history()).to_json_dict()
    for event in history["events"]:
        done = event.get("workflowExecutionUpdateCompletedEventAttributes")
        if done:
            done["outcome"] = {"failure": {"message": "You may not."}}
    found = await read_decisions(Entry("run", WorkflowHistory.from_json("run", history)), data_converter())

    assert [each for each in found if each.edited or each.comment] == []


async def test_recorded_histories() -> None:
    """Every history of an older version is read, and every wait in it that was decided is found."""
    found = {}
    for path in sorted(HISTORIES.glob("*.json")):
        (entry,) = read(path)
        found[path.stem] = await read_decisions(entry, data_converter())

    unknown = [name for name, several in found.items() if any(each.proposed is None for each in several)]
    assert [name for name in unknown if name != "drafted"] == []  # in that one, a person changes what a node gave
    assert [(each.kind, each.choice, each.edited) for each in found["edited"]] == [
        ("approval", "approve", ("amount_cents",)),
        ("outcome", "happened", ()),
    ]
    assert found["edited"][0].decided == found["edited"][1].proposed
    assert [each.edited for each in found["drafted"]] == [("text",), ("amount_cents",), ()]
    assert [each.choice for each in found["continued"]] == ["approve", "deny"]
    assert [each.choice for each in found["fenced"]] == ["approve", "not happened"]
    assert (found["expired"][0].choice, found["expired"][0].by) == ("expired", "")
