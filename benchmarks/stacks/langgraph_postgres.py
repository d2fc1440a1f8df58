"""LangGraph with its PostgreSQL saver: a checkpoint is on the disk before the next step begins."""

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks.job import Job
from benchmarks.protocol import Place, Stack
from benchmarks.stacks.graph import begin, build, limit


class LangGraphPostgres(Stack):
    """The graph with a checkpointer."""

    async def start(self, place: Place) -> None:
        """Open the pool, make the tables, compile the graph."""
        options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        self.pool = AsyncConnectionPool(place.postgres, min_size=1, max_size=20, kwargs=options, open=False)
        await self.pool.open()
        saver = AsyncPostgresSaver(self.pool)  # type: ignore[arg-type]
        await saver.setup()
        self.graph = build().compile(checkpointer=saver)

    async def run(self, job: Job, key: str) -> None:
        """One thread of its own."""
        config = {**limit(job), "configurable": {"thread_id": key}}
        await self.graph.ainvoke(begin(job), config, durability="sync")  # type: ignore[arg-type]

    async def stored(self, key: str) -> int | None:
        """Bytes of values and checkpoints of the thread."""
        blobs = "SELECT coalesce(sum(length(blob)), 0) AS n FROM {} WHERE thread_id = %s"
        json = "SELECT coalesce(sum(length(checkpoint::text)), 0) AS n FROM checkpoints WHERE thread_id = %s"
        total = 0
        async with self.pool.connection() as connection:
            for question in (blobs.format("checkpoint_blobs"), blobs.format("checkpoint_writes"), json):
                row = await (await connection.execute(question, (key,))).fetchone()
                total += int(row["n"]) if row else 0  # type: ignore[call-overload]
        return total

    async def stop(self) -> None:
        """Close the pool."""
        await self.pool.close()


def make() -> LangGraphPostgres:
    """The stack."""
    return LangGraphPostgres()
