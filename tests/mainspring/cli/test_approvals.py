"""`mainspring approvals`: what waits over many runs, and deciding it."""

import asyncio
import json
import os
import pty
import re
import signal
from datetime import timedelta
from typing import Any

import pytest

from mainspring.approving import sending
from mainspring.cli import approvals_listed
from mainspring.cli.approvals_listed import Mute, Waiting, Wanted, line, table
from mainspring.cli.approvals_sent import Order, Told
from mainspring.cli.rule_list import print_table
from mainspring.core.approvals import UNCHANGED, Decision, Identity, Request, Vote, settled
from mainspring.core.routes import Delegation, People, Route
from mainspring.testing import ScriptedModel, call, say
from tests.mainspring.cli.office import PAID, Office, office, payer, pays

__all__ = ["office"]
APPROVE, DENY = Order("approve", {}), Order("deny", {"comment": "No."})


def request(**more: Any) -> Request:
    """A request that waits, with other fields where a test names them."""
    fields = {"id": "1", "kind": "approval", "step": "1", "agent": "desk", "tool": "pay", "args": {"cents": 7}}
    fixed = {"args_digest": "", "rule": "r", "reason": "It is a lot.", "asked": 1764149400, "deadline": 1764153000}
    return Request.model_validate({**fields, **fixed, **more})


def routed(**more: Any) -> Request:
    """A request that goes a route."""
    stage = more.pop("stage", "asked")
    return request(route=Route(id="large", **more), stage=stage)


async def test_nothing_waits(office: Office) -> None:
    """That nothing waits is said in words."""
    result = await office.approvals()

    assert (result.exit_code, result.stdout) == (0, "Nothing that is asked for waits for a person.\n")
    assert (await office.approvals("--approve", "--yes")).exit_code == 0


async def test_lists_what_waits(office: Office) -> None:
    """Each request is a line, without the arguments; filters leave others out; `--json` has one object a line."""
    script = [call("pay", cents=4711), say("Paid.")]
    scripts = {"payer": script, "poster": [call("post", text="x"), say("Posted.")]}
    await office.open(payer(), payer("poster"), model=ScriptedModel(scripts))
    first, second = await office.start("payer"), await office.start("poster")

    result = await office.approvals()
    head, *lines, summary = result.stdout.splitlines()
    assert head.split()[:6] == ["run", "request", "kind", "tool", "agent", "reason"]
    assert [each.split()[:5] for each in lines] == [
        [first.handle.id, "1", "approval", "pay", "payer"],
        [second.handle.id, "1", "approval", "post", "poster"],
    ]
    assert summary == "2 requests wait in 2 runs."
    assert "4711" not in result.stdout
    assert '{"cents":4711}' in (await office.approvals("--args")).stdout
    for option in (("--tool", "post"), ("--agent", "poster"), ("--tool", "post", "--kind", "approval")):
        assert "1 request waits in 1 run." in (await office.approvals(*option)).stdout
    assert "Nothing that is asked for" in (await office.approvals("--kind", "review")).stdout
    assert len((await office.approvals("--limit", "1", "--json")).stdout.splitlines()) == 1
    told = [json.loads(each) for each in (await office.approvals("--json")).stdout.splitlines()]
    assert [(each["run"], each["tool"], "args" in each) for each in told] == [
        (first.handle.id, "pay", False),
        (second.handle.id, "post", False),
    ]


async def test_a_query_that_is_wrong(office: Office) -> None:
    """What the server says of a query is passed on in a sentence."""
    result = await office.approvals("--where", "Nope = 1")

    assert result.exit_code == 1
    assert "does not list" in result.stderr
    assert "invalid search attribute: Nope" in result.stderr


def test_a_narrow_terminal_has_what_is_needed_to_decide() -> None:
    """Ten columns on eighty characters would be read by nobody."""
    shown = table([Waiting("r", "x", request())], [Mute("s", "y", "no worker answers")], args=True, wide=False)
    rows = {str(column.header): list(column.cells) for column in shown.columns}

    assert list(rows) == ["run", "request", "tool", "deadline (UTC)", "who may decide", "votes", "arguments"]
    assert rows["who may decide"] == ["anybody", "not known: no worker answers"]


def test_for_a_person_means_their_groups_too() -> None:
    """And of those for whom they decide, as far as this folder's files say."""
    people = People(
        groups={"finance": ("farah@example.com",)},
        delegations=(Delegation(giver="farah@example.com", taker="hanna@example.com", until="2026-12-31"),),
    )

    def found(decider: str, day: str = "2026-11-26") -> bool:
        wanted = Wanted(decider=decider, people={"desk": people}, day=day)
        return wanted.fits(routed(who=("finance",))) and not wanted.fits(request())

    assert found("finance")
    assert found("Farah@example.com")
    assert found("hanna@example.com")
    assert not found("hanna@example.com", "2027-01-01")
    assert not found("rita@example.com")


async def test_decides_as_somebody(office: Office) -> None:
    """A name is claimed, as with `temporal --identity`; it goes with deciding alone."""
    await office.open(payer(), model=pays(7))
    run = await office.start("payer")
    assert (await office.approvals("--as", "ada@example.com")).exit_code == 2

    result = await office.approvals("--approve", "--yes", "--as", "ada@example.com")

    assert result.exit_code == 0, result.stderr
    updates = (event.workflow_execution_update_accepted_event_attributes for event in (await run.history()).events)
    assert [each.accepted_request.meta.identity for each in updates if each.accepted_request.meta.update_id] == [
        "mainspring-cli:ada@example.com"
    ]


def test_who_may_decide_is_shown() -> None:
    """Routes, seats, votes and verification are in words in the table, and in fields for a program."""
    vote = Vote(identity=Identity(person="ada@example.com", how="claimed"), choice="approve")
    two = routed(who=("finance",), need=2, verified=True, to=("managers",)).model_copy(update={"votes": (vote,)})
    seats = routed(each=("finance", "risk"), to=("managers",))
    cells = [
        list(column.cells)
        for column in table([Waiting("r", "x", each) for each in (request(), two, seats)], [], args=False).columns
    ]

    assert cells[8] == ["anybody", "2 of finance (verified)", "one of each of finance, risk"]
    assert cells[9] == ["", "1 of 2: ada@example.com", "0 of 2"]
    said = line(Waiting("r", "x", two), args=False)
    assert (said["who"], said["need"], said["verified"]) == (("finance",), 2, True)
    assert said["votes"] == [{"person": "ada@example.com", "choice": "approve"}]
    assert (said["since"], said["deadline"]) == ("2025-11-26T09:30:00.000+00:00", "2025-11-26T10:30:00.000+00:00")


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        (request(), False),
        (routed(who=("finance",)), True),
        (routed(who=("risk",), to=("finance",)), False),
        (routed(who=("risk",), to=("finance",), stage="escalated"), True),
        (routed(each=("risk", "finance")), True),
    ],
)
def test_for_whom(asked: Request, fits: bool) -> None:
    """`--for` leaves what a route gives to that group now; what everybody may decide is not for it."""
    assert Wanted(decider="finance").fits(asked) == fits


def test_a_table_takes_texts_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """What a model or a run's name holds neither styles the table nor steers the terminal."""
    print_table(
        table([Waiting("[red]r", "x", request(reason="a\x1b[2Jb\x9bc"))], [Mute("[b]m", "x", "gone")], args=False)
    )

    said = capsys.readouterr().out
    assert "[red]r" in said
    assert "[b]m" in said
    assert "\x1b" not in said
    assert "\x9b" not in said


async def test_a_run_whose_worker_is_away(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is listed as such and counted, and deciding over it does not end well."""
    monkeypatch.setattr(approvals_listed, "ANSWERS_WITHIN", timedelta(seconds=1))
    await office.open(payer(), model=pays(7))
    run = await office.start("payer")
    await office.leave()

    listed, sent = await office.approvals(), await office.approvals("--approve", "--yes")

    assert re.search(rf"^{run.handle.id} .* not known: no worker answers", listed.stdout, re.MULTILINE)
    assert "1 run waits but does not answer" in listed.stdout
    assert (listed.exit_code, sent.exit_code) == (0, 1)
    told = json.loads((await office.approvals("--json")).stdout)
    assert (told["run"], told["problem"]) == (run.handle.id, "no worker answers")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--approve", "--deny"), "choose --approve or --deny"),
        (("--deny",), "say what the models are told"),
        (("--approve", "--reason", "x"), "it goes with --deny"),
        (("--approve", "--stop"), "it goes with --deny"),
        (("--deny", "--reason", "x", "--comment", "y"), "it goes with --approve"),
        (("--yes",), "it goes with --approve or --deny"),
        (("--decided", "--approve"), "it lists what is over"),
        (("--kind", "nope"), "'nope' is not one of"),
    ],
)
async def test_options_that_do_not_fit(office: Office, options: tuple[str, ...], said: str) -> None:
    """They are refused with the reason, before anything is asked."""
    result = await office.approvals(*options)

    assert result.exit_code == 2
    assert said in re.sub(r"[\s│]+", " ", result.stderr)


async def test_no_terminal_to_ask_at(office: Office) -> None:
    """Without `--yes` and a terminal what would be decided is listed, and nothing is."""
    await office.open(payer(), model=pays(7))
    run = await office.start("payer")

    result = await office.approvals("--approve")

    assert result.exit_code == 1
    assert result.stdout.startswith("This request would be approved:\n")
    assert "there is no terminal to ask at. Add --yes" in result.stderr
    assert len(await run.waiting()) == 1


async def test_asks_and_tells_of_those_who_were_faster(office: Office) -> None:
    """At a terminal: the listing with the count, the question, then what came of each; not all went through."""
    await office.open(payer(), model=pays(1, 2, 3))
    run = await office.start("payer", 3)
    ours, theirs = pty.openpty()
    process = await office.process("--approve", "--comment", "checked", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)

    said = await until(ours, "Approve these 3 requests?")
    await run.deny((await run.waiting())[0], "Too little.")
    os.write(ours, b"y\n")
    said += await until(ours, "already: 1.")

    assert await process.wait() == 1
    os.close(ours)
    assert "These 3 requests would be approved:" in said
    assert "Request 1 (pay) was denied. Nothing was changed by this click." in said
    assert "Approved: 2 of 3 requests." in said
    assert await paid(run) == {"2": 1, "3": 1}


async def until(terminal: int, words: str) -> str:
    """What comes at a terminal, up to these words."""
    said = ""
    async with asyncio.timeout(60):
        while words not in said:
            said += (await asyncio.to_thread(os.read, terminal, 4096)).decode()
    return said


async def paid(run: Any) -> dict[str, int]:
    """How often a run has paid each amount, once it has ended."""
    await run.result()
    first = str(run.handle.first_execution_run_id)
    return {key.split()[1]: times for key, times in sorted(PAID.items()) if key.startswith(first)}


async def test_denies_with_a_reason(office: Office) -> None:
    """The model is told why; the tally counts, and so does `--json` for a program."""
    heard: list[str] = []
    model = ScriptedModel(call("pay", cents=7), lambda asked: heard.append(asked.messages[-1].text) or say("Fine."))
    await office.open(payer(), model=model)
    runs = [await office.start("payer") for _ in range(2)]

    first = await office.approvals("--deny", "--reason", "Over budget.", "--yes", "--limit", "1")
    second = await office.approvals("--deny", "--reason", "Over budget.", "--yes", "--json")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stdout.endswith("Request 1 (pay): deny. Recorded.\nDenied: 1 of 1 request.\n")
    told, sums = map(json.loads, second.stdout.splitlines())
    assert (told["result"], told["tool"]) == ("denied", "pay")
    assert sums == {"denied": 1, "decided_by_others": 0, "refused": 0, "unanswered": 0, "not_sent": 0}
    for run in runs:
        await run.result()
    assert all("Over budget." in each for each in heard)


async def test_again_counts_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was away takes it in when it is back; whoever sends the same again is told the same."""
    await office.open(payer(), model=pays(7))
    run = await office.start("payer")
    waiting = await office.seen(run)
    await office.leave()

    with monkeypatch.context() as patch:
        patch.setattr(sending, "ANSWERS_WITHIN", 1)
        lost = await office.say(APPROVE, waiting)
    await office.come()
    again, once_more = await office.say(APPROVE, waiting), await office.say(APPROVE, waiting)
    other = await office.say(DENY, waiting)

    assert [each.how for each in lost.told] == ["unanswered"]
    assert "Type the same command again to go on: whatever was sent before counts once." in lost.lines()
    assert [each.said for each in again.told] == ["Request 1 (pay): approve. Recorded."]
    assert again.told == once_more.told
    assert (again.is_fine, lost.is_fine, other.is_fine) == (True, False, False)
    assert await paid(run) == {"7": 1}


async def test_a_run_that_has_ended(office: Office) -> None:
    """Who was faster is told from its history; a later run of the same name is left alone."""
    await office.open(payer(), model=pays(7))
    run = await office.start("payer")
    waiting = await office.seen(run)
    await run.deny(waiting[0].request, "No.")
    await run.result()

    early = await office.say(APPROVE, waiting)
    name = run.handle.id
    later = await office.bench.client.start_workflow("payer", "Pay", id=name, task_queue=office.settings.task_queue)
    while not await later.query("waiting"):
        pass
    late = await office.say(APPROVE, waiting)

    assert [str(each) for each in early.told] == [
        f"{name}, request 1: Request 1 (pay) was denied. The run has ended since. Nothing was changed by this click."
    ]
    assert late.told == early.told
    assert len(await later.query("waiting")) == 1
    await later.terminate()


async def test_refusals_are_counted_by_reason(office: Office) -> None:
    """What a run refuses is counted by the reason, whatever number the request has."""
    await office.open(payer(), model=pays(1, 2))
    run = await office.start("payer", 2)

    tally = await office.say(Order("approve", {"nope": 1}), await office.seen(run))

    assert [each.how for each in tally.told] == ["refused", "refused"]
    assert tally.lines()[0] == "Approved: 0 of 2 requests."
    assert re.fullmatch(r"Refused: 2\. Unknown field 'nope'; .*", tally.lines()[1])
    assert len(await run.waiting()) == 2


async def test_stopped_half_way(office: Office) -> None:
    """Ctrl-C sends no more, waits for what is under way, and says how to go on; then nothing is done twice."""
    await office.open(payer(), model=pays(*range(20)))
    run = await office.start("payer", 20)
    process = await office.process("--approve", "--yes", "--jobs", "1")
    assert process.stdout

    while b"Recorded" not in (line := await process.stdout.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    said = (await process.stdout.read()).decode()

    assert await process.wait() == 130
    sent = 20 - int(re.search(r"Not sent: (\d+)\.", said)[1])
    assert f"Approved: {sent} of 20 requests." in said
    assert "Type the same command again to go on" in said
    rest = await office.approvals("--approve", "--yes")
    assert f"Approved: {20 - sent} of {20 - sent} requests." in rest.stdout
    assert await paid(run) == {str(cents): 1 for cents in range(20)}


def test_only_what_can_be_decided_so() -> None:
    """Outcomes are answered one at a time, and so are questions, which can be denied at least."""
    kinds = ("approval", "review", "question", "outcome")
    ways = {kind: Waiting("r", "x", request(kind=kind)) for kind in kinds}

    assert [kind for kind in kinds if APPROVE.fits(ways[kind])] == ["approval", "review"]
    assert [kind for kind in kinds if DENY.fits(ways[kind])] == ["approval", "review", "question"]


def test_ids_of_updates() -> None:
    """The id is of run, request, choice, words, person and of who may decide; nothing of it can be read in it."""
    each, escalated = Waiting("r", "x", request()), Waiting("r", "x", routed(who=("a",), to=("b",), stage="escalated"))
    ids = [
        APPROVE.update_id(each, "first", "ada"),
        APPROVE.update_id(each, "second", "ada"),
        APPROVE.update_id(each, "first", "bob"),
        APPROVE.update_id(escalated, "first", "ada"),
        APPROVE.update_id(Waiting("r", "x", request(id="2")), "first", "ada"),
        Order("approve", {"comment": "ok"}).update_id(each, "first", "ada"),
        DENY.update_id(each, "first", "ada"),
    ]

    assert len(set(ids)) == len(ids)
    assert APPROVE.update_id(each, "first", "ada") == ids[0]
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in ids)


def test_who_was_faster_is_known_by_the_sentence() -> None:
    """The sentence of a late click ends as the tally knows it."""
    assert settled(request(), Decision(request="1", choice="deny")).endswith(UNCHANGED)
    assert str(Told(Waiting("ru\x1bn", "x", request()), "late", "Said.")) == "ru n, request 1: Said."
