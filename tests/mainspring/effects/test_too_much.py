import re

import pytest

from mainspring import Agent, tool
from mainspring.adapters.tokens import count
from mainspring.core.canonical import canonical
from mainspring.effects.gauge import Gauge
from mainspring.ports.model import ModelRequest
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench
from mainspring.testing.scripted import Step

SENTENCE = "A sentence of the page. "


@tool(effect="read", returns="trusted")
def pages(number: int) -> str:
    """Give so many pages."""
    return SENTENCE * 50 * number


def tells(request: ModelRequest) -> Step:
    """Say what the tool gave, as far as it fits."""
    return say(request.messages[-1].text[:200])


@pytest.mark.parametrize("mode", ["step", "turn", "fast"])
async def test_a_result_that_nobody_could_read(mainspring: Bench, mode: str):
    """A result that would fill the model's window is told to it by size; it asks for less, and the run goes on."""
    reader: Agent[str] = Agent("reader", instructions="Read.", tools=[pages], context=4_000, mode=mode)
    model = ScriptedModel(call("pages", number=20), tells)

    run = await mainspring.start(reader, "Go.", model=model)

    size = count("test:model", canonical(SENTENCE * 1000))
    said = rf"pages ran, but its result is about {size:,} tokens, and at most 1,\d+ can be read\. Ask for less\."
    assert re.fullmatch(said, (await run.result()).answer)


def test_a_graphs_own_call_is_read_by_no_model():
    """What a node of a graph fetches itself has no model's window to fit."""
    desk: Agent[str] = Agent("desk", instructions="Read.", context=100)
    spec = desk.spec("house:model")

    assert "tokens" in Gauge().too_much(spec, "x" * 1000)
    assert Gauge().too_much(spec.model_copy(update={"models": ()}), "x" * 1000) == ""
