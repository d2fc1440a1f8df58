"""Activity side. `identify`: tells who sent a decision, by its token or by what its client said of itself.

Groups and delegations are those of today: whoever left the group since the run began decides nothing any more.
"""

import time
from datetime import UTC, datetime

from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.exceptions import ApplicationError

from mainspring.contracts.deciding import Identified, IdentifyWork
from mainspring.contracts.steps import Timing
from mainspring.core.approvals import Identity
from mainspring.core.routes import People, person_name
from mainspring.effects.world import World
from mainspring.errors import SetupError, TokenError

_PAGE = 100
_PAGES = 20
"""How far back the update is looked for: it came just now."""
_NOBODY = Identity()


async def identify(world: World, work: IdentifyWork) -> Identified:
    """Who decides, with all names that count for the request's route.

    Raises:
        ApplicationError: NotFound, where the history does not hold the update (yet).
    """
    start, now = time.time_ns(), time.time()
    refusal = ""
    if work.token:
        identity, refusal = await _by_token(world, work, now)
    else:
        identity = said_by(await _sender(work.update))
    today = datetime.fromtimestamp(now, UTC).date().isoformat()
    identity = _named(identity, _people(world, work), today)
    timing = Timing(start=start, end=time.time_ns())
    return Identified(identity=identity, refusal=refusal, inbox=world.inbox, timing=timing)


def said_by(client: str) -> Identity:
    """What a client says of itself: `temporal-cli:ada@host` is somebody, and the Web UI says nothing."""
    if not client:
        return _NOBODY
    by, colon, person = client.partition(":")
    return Identity(person=person, how="claimed", by=by) if colon else Identity(person=by, how="claimed", by="client")


async def _by_token(world: World, work: IdentifyWork, now: float) -> tuple[Identity, str]:
    if world.open_verifier is None:
        return _NOBODY, "This worker has nothing to check a token with."
    try:
        found = await world.open_verifier().verify(work.token, binding=work.request.binding, form=work.form, now=now)
    except (TokenError, SetupError) as error:
        return _NOBODY, str(error)
    identity = Identity(person=found.person, how="verified", by=found.issuer, names=found.roles, token=found.token)
    return identity, ""


def _people(world: World, work: IdentifyWork) -> People:
    name = work.request.agent
    defined = world.graphs.get(name) or world.all_agents().get(name)
    return defined.people if defined else People()


def _named(identity: Identity, people: People, day: str) -> Identity:
    """The identity with all names that a route may know this person by, and those for whom they decide."""
    if not identity.person:
        return identity
    person = person_name(identity.person)
    names, stands_for = people.names_of(person, identity.names, day), people.decides_for(person, day)
    return identity.model_copy(update={"person": person, "names": names, "stands_for": stands_for})


async def _sender(update: str) -> str:
    """The identity that the client which sent an update has told, from this run's history, newest events first."""
    info, client = activity.info(), activity.client()
    token = b""
    for _ in range(_PAGES):
        page = await client.workflow_service.get_workflow_execution_history_reverse(
            GetWorkflowExecutionHistoryReverseRequest(
                namespace=client.namespace,
                execution=WorkflowExecution(workflow_id=info.workflow_id or "", run_id=info.workflow_run_id or ""),
                maximum_page_size=_PAGE,
                next_page_token=token,
            )
        )
        for event in page.history.events:
            # What was taken up by a reset stands as admitted first; who said it is told there alone.
            accepted = event.workflow_execution_update_accepted_event_attributes.accepted_request
            admitted = event.workflow_execution_update_admitted_event_attributes.request
            for meta in (accepted.meta, admitted.meta):
                if meta.update_id == update:
                    return meta.identity
        token = page.next_page_token
        if not token:
            break
    raise ApplicationError("the history does not hold the update yet", type="NotFound")
