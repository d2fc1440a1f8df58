"""What a run is told of the server's search attributes when it is let in."""

from mainspring import Agent
from mainspring.contracts.steps import Admission
from mainspring.serve import data_converter
from mainspring.telemetry.history import read_facts
from mainspring.testing import ScriptedModel, say
from mainspring.testing.bench import Bench


async def test_an_admission_says_what_may_be_set(mainspring: Bench) -> None:
    """The embedded server has all three from its start, and the admission records it."""
    run = await mainspring.start(Agent("clerk", instructions="Answer."), "Hi.", model=ScriptedModel(say("Hello.")))
    await run.result()

    facts = await read_facts((await run.history()).events, data_converter())
    (admission,) = [each.result for each in facts.activities if isinstance(each.result, Admission)]
    assert (admission.indexed, admission.listed) == (True, True)
