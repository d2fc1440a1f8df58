"""Plain Temporal, as one writes it first: one activity per call, the whole conversation as the model's argument."""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from benchmarks.job import INSTRUCTIONS, TASK, Job, page, reply_text, think
    from benchmarks.stacks.on_temporal import OnTemporal

Message = dict[str, str]
TIMEOUT = timedelta(seconds=30)


@dataclass
class Thread:
    """What the model is called with."""

    job: Job
    messages: list[Message]


@activity.defn
async def call_model(thread: Thread) -> Message:
    """One reply."""
    await think(thread.job.latency)
    said = sum(message["role"] == "assistant" for message in thread.messages)
    asks = str(said) if said < thread.job.turns else ""
    return {"role": "assistant", "text": reply_text(said), "page": asks}


@activity.defn
async def read_page(number: int) -> str:
    """One page."""
    return page(number)


@workflow.defn
class Triage:
    """The loop."""

    @workflow.run
    async def run(self, job: Job) -> str:
        """Read page after page until the model asks for none."""
        messages: list[Message] = [{"role": "system", "text": INSTRUCTIONS}, {"role": "user", "text": TASK}]
        while True:
            reply = await workflow.execute_activity(call_model, Thread(job, messages), start_to_close_timeout=TIMEOUT)
            messages.append(reply)
            if not reply["page"]:
                return reply["text"]
            text = await workflow.execute_activity(read_page, int(reply["page"]), start_to_close_timeout=TIMEOUT)
            messages.append({"role": "tool", "text": text})


def make() -> OnTemporal:
    """The stack."""
    return OnTemporal(Triage, [call_model, read_page])
