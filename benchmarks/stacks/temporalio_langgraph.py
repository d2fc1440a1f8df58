"""Temporal's own LangGraph plugin: the graph runs in the workflow, each node is an activity."""

from datetime import timedelta

from temporalio import workflow
from temporalio.langgraph import LangGraphPlugin, graph

with workflow.unsafe.imports_passed_through():
    from benchmarks.job import Job
    from benchmarks.stacks.graph import begin, build, limit
    from benchmarks.stacks.on_temporal import OnTemporal


@workflow.defn
class Triage:
    """Runs the graph."""

    @workflow.run
    async def run(self, job: Job) -> str:
        """To its end."""
        ended = await graph("triage").compile().ainvoke(begin(job), limit(job))
        return str(ended["messages"][-1]["text"])


def make() -> OnTemporal:
    """The stack."""
    plugin = LangGraphPlugin(
        graphs={"triage": build({"execute_in": "activity"})},
        default_activity_options={"start_to_close_timeout": timedelta(seconds=30)},
    )
    return OnTemporal(Triage, plugins=[plugin])
