"""Temporal's own plugin for the OpenAI Agents SDK: model calls and tools are activities."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from openai.types.responses import ResponseFunctionToolCall
from temporalio import activity, workflow
from temporalio.openai_agents import ModelActivityParameters, OpenAIAgentsPlugin
from temporalio.openai_agents.testing import ResponseBuilders
from temporalio.openai_agents.workflow import activity_as_tool

from agents import Agent, Model, ModelProvider, ModelResponse, Runner, Usage

with workflow.unsafe.imports_passed_through():
    from benchmarks.job import INSTRUCTIONS, TASK, Job, page, reply_text, think
    from benchmarks.stacks.on_temporal import OnTemporal

TIMEOUT = timedelta(seconds=30)


class Scripted(Model):
    """The model of one job, which its name holds."""

    def __init__(self, name: str) -> None:
        """Read the job from the name, `TURNS/SECONDS`."""
        turns, latency = name.split("/")
        self.job = Job(int(turns), float(latency))

    async def get_response(self, system_instructions: str | None, input: Any, *_: Any, **__: Any) -> ModelResponse:  # noqa: A002
        """One reply: words, and a call while there are pages left."""
        del system_instructions
        await think(self.job.latency)
        said = sum(item.get("type") == "function_call" for item in input if isinstance(item, dict))
        output: list[Any] = [ResponseBuilders.response_output_message(reply_text(said))]
        if said < self.job.turns:
            arguments = f'{{"number": {said}}}'
            call_id = f"call_{said}"
            output.append(
                ResponseFunctionToolCall(
                    arguments=arguments, call_id=call_id, name="read_page", type="function_call", id=call_id
                )
            )
        return ModelResponse(output=output, usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        """Not asked for here."""
        raise NotImplementedError


class Models(ModelProvider):
    """Opens the scripted model."""

    def get_model(self, model_name: str | None) -> Model:
        """By the name of the job."""
        return Scripted(model_name or "")


@activity.defn
async def read_page(number: int) -> str:
    """Give one page of the backlog."""
    return page(number)


@workflow.defn
class Triage:
    """Runs the agent."""

    @workflow.run
    async def run(self, job: Job) -> str:
        """To its end."""
        agent = Agent(
            name="triage",
            instructions=INSTRUCTIONS,
            model=f"{job.turns}/{job.latency}",
            tools=[activity_as_tool(read_page, start_to_close_timeout=TIMEOUT)],
        )
        ended = await Runner.run(agent, TASK, max_turns=job.turns + 2)
        return str(ended.final_output)


def make() -> OnTemporal:
    """The stack."""
    parameters = ModelActivityParameters(start_to_close_timeout=TIMEOUT)
    plugin = OpenAIAgentsPlugin(model_params=parameters, model_provider=Models())
    return OnTemporal(Triage, [read_page], plugins=[plugin])
