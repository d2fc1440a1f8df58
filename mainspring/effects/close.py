"""Activity side. `close`: lets out the spans that end with the run, or with one execution of it."""

from temporalio import activity

from mainspring.contracts.steps import Closing
from mainspring.effects.world import World
from mainspring.telemetry.projection import project
from mainspring.telemetry.spans import Span, root_span, stretch_span
from mainspring.telemetry.trace import closing_spans


async def close(world: World, closing: Closing) -> Closing:
    """Export the root, agent, node and wait spans; gives back what it was told, for the history.

    Who decided on a request is known to history alone. So where anything was asked this is an ordinary activity,
    which projects the history, `closing` included. A local activity has all it needs in `closing`.
    """
    info, client = activity.info(), activity.client()
    if info.is_local:
        world.exporter.export(_told(closing))
    else:
        handle = client.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
        trace = await project(handle.fetch_history_events(), client.data_converter)
        world.exporter.export(closing_spans(trace))
    activity.logger.debug("closed the trace of a %s run", closing.run.name)
    return closing


def _told(closing: Closing) -> list[Span]:
    """The spans that the workflow itself told of; the run's own only where it does not go on."""
    spans = [stretch_span(closing.run, each) for each in (*closing.nodes, *closing.agents)]
    return spans if closing.outcome == "continued" else [root_span(closing), *spans]
