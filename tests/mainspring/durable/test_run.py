"""A run from start to end, on a real server: input, turns, denials, limits, failures."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel
from temporalio.client import WorkflowFailureError

from mainspring import Agent, ToolError, tool
from mainspring.testing import ScriptedModel, call, calls, say
from mainspring.testing.bench import Bench


@tool(effect="read", returns="trusted")
def weather(city: str) -> str:
    """Tell the weather of a city."""
    if city == "Atlantis":
        raise ToolError("there is no such city")
    return f"sunny in {city}"


@tool(effect="once", returns="trusted")
def launch(pad: int) -> str:
    """Launch what stands on the pad."""
    return f"launched from {pad}"


def agent(**more: object) -> Agent[str]:
    """An agent with one harmless and one irrevocable tool."""
    return Agent("pilot", instructions="Fly.", tools=[weather, launch], **more)  # type: ignore[arg-type]


async def test_a_plain_string_is_answered(mainspring: Bench) -> None:
    """A run started with a plain string gives what the model says."""
    run = await mainspring.start(agent(), "Hello", model=ScriptedModel(say("Hello yourself.")))

    result = await run.result()

    assert result.answer == "Hello yourself."
    assert result.totals.model_calls == 1


async def test_a_tool_result_reaches_the_model(mainspring: Bench) -> None:
    """What a tool returned stands in the thread of the next model call."""
    model = ScriptedModel(call("weather", city="Oslo"), say("It is sunny."))
    run = await mainspring.start(agent(), "Weather in Oslo?", model=model)

    await run.result()

    assert model.requests[-1].messages[-1].value == "sunny in Oslo"


async def test_parallel_calls_come_back_in_the_models_order(mainspring: Bench) -> None:
    """Results of one message stand in its order, whichever ended first, with errors in their place."""
    asked = calls(call("weather", city="Rome"), call("weather", city="Atlantis"), call("weather", city="Oslo"))
    model = ScriptedModel(asked, say("Done."))
    run = await mainspring.start(agent(), "Weather?", model=model)

    await run.result()

    answers = model.requests[-1].messages[-3:]
    assert [m.status for m in answers] == ["ok", "error", "ok"]
    assert answers[2].value == "sunny in Oslo"


async def test_a_once_tool_without_a_rule_asks_a_person(mainspring: Bench) -> None:
    """What cannot be undone never runs on the model's word alone."""
    run = await mainspring.start(agent(), "Go", model=ScriptedModel(call("launch", pad=3), say("Gone.")))

    (request,) = await run.waiting()
    said = await run.approve(request)
    result = await run.result()

    assert request.args == {"pad": 3}
    assert "approve" in said
    assert result.answer == "Gone."


async def test_a_denial_is_read_by_the_model(mainspring: Bench) -> None:
    """The model reads the reason of a denial, and the tool does not run."""
    model = ScriptedModel(call("launch", pad=3), say("Understood."))
    run = await mainspring.start(agent(), "Go", model=model)

    (request,) = await run.waiting()
    await run.deny(request, "wind too strong")
    await run.result()

    answer = model.requests[-1].messages[-1]
    assert (answer.status, answer.text) == ("denied", "wind too strong")


async def test_a_deadline_that_passes_denies(mainspring: Bench) -> None:
    """Nobody deciding is a denial, a day later."""
    model = ScriptedModel(call("launch", pad=3), say("Nobody came."))
    run = await mainspring.start(agent(), "Go", model=model)

    await run.waiting()
    await run.skip(timedelta(hours=25))
    result = await run.result()

    assert result.answer == "Nobody came."
    assert model.requests[-1].messages[-1].status == "denied"


async def test_a_late_click_is_answered_in_words(mainspring: Bench) -> None:
    """A second click on a request changes nothing and says what was decided."""
    model = ScriptedModel(call("launch", pad=1), call("launch", pad=2), say("Both."))
    run = await mainspring.start(agent(), "Go", model=model)

    (first,) = await run.waiting()
    await run.update("approve 1: launch")
    while (second := (await run.waiting())[0]).id == first.id:
        pass
    late = await run.refusal_of("approve 1: launch")
    bare = await run.refusal_of("approve")

    assert late == "Request 1 (launch) was approved. Nothing was changed by this click."
    assert "needs the request id" in bare
    assert second.id == "2"


async def test_malformed_arguments_go_back_twice(mainspring: Bench) -> None:
    """The model reads the schema's error and may repair its call."""
    model = ScriptedModel(call("weather", town="Oslo"), call("weather", city="Oslo"), say("Sunny."))
    run = await mainspring.start(agent(), "Weather?", model=model)

    result = await run.result()

    assert "city: Field required" in model.requests[1].messages[-1].text
    assert result.answer == "Sunny."


async def test_a_call_that_stays_malformed_fails_the_run(mainspring: Bench) -> None:
    """After two repairs the run fails, naming tool and field."""
    run = await mainspring.start(agent(), "?", model=ScriptedModel(*[call("weather", town="Oslo")] * 3))

    with pytest.raises(WorkflowFailureError) as failed:
        await run.result()

    assert "city: Field required" in str(failed.value.cause)


async def test_the_step_limit_ends_a_run(mainspring: Bench) -> None:
    """An agent that never gets done is stopped with a sentence that names the setting."""
    run = await mainspring.start(agent(max_steps=2), "?", model=ScriptedModel(*[call("weather", city="Oslo")] * 5))

    with pytest.raises(WorkflowFailureError) as failed:
        await run.result()

    assert "was not done after 2 model replies" in str(failed.value.cause)


class Report(BaseModel):
    """A typed answer."""

    city: str
    sunny: bool


async def test_a_typed_answer_is_repaired_and_returned(mainspring: Bench) -> None:
    """An answer that does not fit the result type goes back; the fitting one is the result."""
    model = ScriptedModel(say("sunny"), say({"city": "Oslo", "sunny": True}))
    typed = Agent("reporter", instructions="Report.", result=Report)
    run = await mainspring.start(typed, "Oslo?", model=model)

    result = await run.result()

    assert result.result == {"city": "Oslo", "sunny": True}
    assert "not JSON" in model.requests[1].messages[-1].text


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"inptu": "x"}, "unknown field 'inptu'. Did you mean 'input'?"),
        ({"input": ""}, "input field 'input'"),
        (7, "was started with int as input"),
    ],
)
async def test_bad_input_fails_at_once_in_words(mainspring: Bench, given: object, sentence: str) -> None:
    """A run with unusable input fails with one sentence instead of failing tasks for ever."""
    run = await mainspring.start(agent(), given, model=ScriptedModel(say("never")))  # type: ignore[arg-type]

    with pytest.raises(WorkflowFailureError) as failed:
        await run.result()

    assert sentence in str(failed.value.cause)


async def test_a_refused_input_fails_with_the_rule(mainspring: Bench, tmp_path: Path) -> None:
    """An input rule that denies ends the run before any model is asked, naming rule and reason."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "rules:\n  - {id: short, point: input, when: input.length > 5, verdict: deny, reason: Be brief.}\n"
    )
    model = ScriptedModel(say("never"))
    run = await mainspring.start(agent(rules=rules), "Hello there", model=model)

    with pytest.raises(WorkflowFailureError) as failed:
        await run.result()

    assert str(failed.value.cause) == "Refused: The rule 'short' refused the input: Be brief."
    assert not model.requests
