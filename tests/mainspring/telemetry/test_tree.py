from io import StringIO

import pytest
from rich.console import Console

from mainspring.telemetry.trace import Trace
from mainspring.telemetry.tree import lasted, money, render

SECOND = 10**9


def shown(trace: Trace, now: int = 0, width: int = 100) -> str:
    """The tree as a terminal without colours shows it."""
    console = Console(width=width, color_system=None, file=StringIO(), record=True)
    console.print(render(trace, now))
    return console.export_text()


async def test_a_finished_run_reads_as_a_story(refunded):
    """The tree tells what ran, for how long, what the rules said, and who decided."""
    text = shown(await refunded.trace())

    assert text.splitlines()[0] == ("refund-agent completed · 16.0 s · 3 model calls · 2 tool calls · 9 tokens · $0")
    for part in (
        "├── admit  400 ms · 2 notes recalled",
        "├── chat playbook  400 ms · 3 tokens · because of row 'ask' · find_order: allow (rule reads)",
        "issue_refund: ask (rule over-50)",
        "├── wait for a person: issue_refund  1.0 s · request 1: approve, by claimed:",
        "├── execute_tool issue_refund  400 ms · permitted by request 1",
    ):
        assert part in text


async def test_a_waiting_run_shows_the_open_request(script, said):
    """A run that waits says for what, since when and until when."""
    run = script()
    run.admit()
    run.say("1", said("issue_refund", "ask", "over-50"))
    run.wait("1", "issue_refund")

    text = shown(await run.trace(), now=run.now + 185 * SECOND)

    assert text.startswith("refund-agent waiting · for 3 min")
    assert "for 3 min 5 s now · request 1 is open: may it run? Until 1970-01-01 01:00 UTC" in " ".join(text.split())


async def test_failures_stand_out(script):
    """A step that failed and the run it failed name the kind of failure."""
    run = script()
    run.admit()
    run.fail(run.schedule("call_model", "1", run.model_call("1")), "ModelError")
    run.close("failed", "ModelFailed")

    text = shown(await run.trace())

    assert "refund-agent failed" in text
    assert "ModelFailed" in text
    assert "chat  1.0 s · ModelError" in text


async def test_a_price_nobody_knows_is_said(script):
    """A model without a known price makes the run's cost unknown, not zero."""
    run = script()
    run.say("1", cost_microusd=None)

    assert "cost not known" in shown(await run.trace())


async def test_spans_without_a_root_are_shown_all_the_same(refunded):
    """A file that lost the root (its worker was killed) still shows the rest."""
    trace = await refunded.trace()
    rest = trace.model_copy(update={"spans": trace.spans[1:]})

    text = shown(rest)

    assert "whose own span is not there yet" in text
    assert "execute_tool issue_refund" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.012, "12 ms"), (4.24, "4.2 s"), (185, "3 min 5 s"), (7440, "2 h 4 min"), (262800, "3 d 1 h"), (-1, "0 ms")],
)
def test_durations_as_people_say_them(seconds, text):
    """A duration has the two units that matter."""
    assert lasted(int(seconds * SECOND)) == text


@pytest.mark.parametrize(
    ("microusd", "text"), [(0, "$0"), (31, "$0.000031"), (4_200, "$0.0042"), (12_340_000, "$12.34")]
)
def test_money_shows_the_digits_that_matter(microusd, text):
    """A tiny cost is not rounded to nothing."""
    assert money(microusd) == text
