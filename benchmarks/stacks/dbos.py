"""DBOS on PostgreSQL: the loop is a workflow, each call a step; a step's result is stored, its arguments are not."""

import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID

from benchmarks.job import INSTRUCTIONS, TASK, Job, page, reply_text, think
from benchmarks.protocol import Place, Stack

Message = dict[str, str]


@DBOS.step()
async def call_model(messages: list[Message], turns: int, latency: float) -> Message:
    """One reply."""
    await think(latency)
    said = sum(message["role"] == "assistant" for message in messages)
    return {"role": "assistant", "text": reply_text(said), "page": str(said) if said < turns else ""}


@DBOS.step()
async def read_page(number: int) -> str:
    """One page."""
    return page(number)


@DBOS.workflow()
async def triage(turns: int, latency: float) -> str:
    """Read page after page until the model asks for none."""
    messages: list[Message] = [{"role": "system", "text": INSTRUCTIONS}, {"role": "user", "text": TASK}]
    while True:
        reply = await call_model(messages, turns, latency)
        messages.append(reply)
        if not reply["page"]:
            return reply["text"]
        messages.append({"role": "tool", "text": await read_page(int(reply["page"]))})


class OnDbos(Stack):
    """The workflow above."""

    async def start(self, place: Place) -> None:
        """Launch DBOS, which makes its tables."""
        self.address = place.postgres
        DBOS(config={"name": "triage", "system_database_url": place.postgres, "log_level": "ERROR"})
        DBOS.launch()

    async def run(self, job: Job, key: str) -> None:
        """One workflow under the run's key."""
        with SetWorkflowID(key):
            await triage(job.turns, job.latency)

    async def stored(self, key: str) -> int | None:
        """Bytes of the recorded results."""
        question = "SELECT coalesce(sum(length(output)), 0) FROM dbos.operation_outputs WHERE workflow_uuid = :key"
        engine = sa.create_engine(self.address.replace("postgresql://", "postgresql+psycopg://"))
        with engine.connect() as connection:
            return int(connection.execute(sa.text(question), {"key": key}).scalar_one())

    async def stop(self) -> None:
        """Let the threads go."""
        DBOS.destroy()


def make() -> OnDbos:
    """The stack."""
    return OnDbos()
