"""Activity side. `close`: lets out the spans that end with the run, rebuilt from its own history."""

from temporalio import activity

from mainspring.contracts.steps import Closing
from mainspring.effects.world import World
from mainspring.telemetry.projection import project
from mainspring.telemetry.trace import closing_spans


async def close(world: World, closing: Closing) -> None:
    """Project the run's history and export the root, agent, node and wait spans.

    `closing` itself is read from the history, like everything else.
    """
    info, client = activity.info(), activity.client()
    handle = client.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
    trace = await project(handle.fetch_history_events(), client.data_converter)
    world.exporter.export(closing_spans(trace))
    activity.logger.debug("closed the trace of a %s run", closing.run.name)
