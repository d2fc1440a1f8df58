"""Activity side. Takes what a limit allows.

A run that is let in, a message of a session and a tool that is run count once, however often they are attempted: a tool
may have done its work in an attempt before, and must not then be called denied. Each attempt at a reply counts: each
asks the model.
"""

from collections.abc import Sequence

from temporalio import activity

from mainspring.contracts.steps import RunRef
from mainspring.core.limits import Exceeded, LimitFacts, LimitPoint, claims, exceeded
from mainspring.core.spec import AgentSpec
from mainspring.effects.world import World
from mainspring.errors import LimitError


async def limited(  # noqa: PLR0917 - what of whom
    world: World, run: RunRef, agents: Sequence[AgentSpec], point: LimitPoint, tool: str = "", model: str = ""
) -> Exceeded | None:
    """Take what the limits of these agents allow; or why one has to wait.

    The first agent is the one at work.

    Raises:
        LimitError: it cannot be counted.
    """
    limits = [limit for agent in agents for limit in world.guards.judge(agent).limits]
    if not limits:
        return None
    facts = LimitFacts(agent=agents[0].name, user=run.user, tenant=run.tenant, tool=tool, model=model)
    made = claims(limits, point, facts)
    if not made:
        return None
    if world.limiter is None:
        raise LimitError("this worker has nothing to count limits with.")
    once = "" if point == "model" else f"{run.first}/{activity.info().activity_id}"
    return exceeded(made, await world.limiter.take([claim.allowance for claim in made], once))
