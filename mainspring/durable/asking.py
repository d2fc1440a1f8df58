"""Workflow side. How a request is made: of what the rules said, the route it goes, and the agent that asks."""

from typing import Any, cast

from temporalio import workflow

from mainspring.core.approvals import Kind, Request, Routed, binding
from mainspring.core.canonical import Json
from mainspring.core.deciding import routed
from mainspring.core.routes import Route, first_of
from mainspring.core.spec import AgentSpec, ToolSpec
from mainspring.core.turn import ASKED_AGAIN, CallVerdict

_LATE = 60.0
"""Seconds between a verdict and its request that are as usual."""


def new_request(  # noqa: PLR0917 - each is a part of the question
    number: str,
    kind: Kind,
    agent: AgentSpec,
    step: str,
    verdict: CallVerdict,
    args: dict[str, Json],
    reason: str,
    *,
    table: int,
    editable: bool,
) -> Request:
    """What a person is asked. An `editable` call is one of a conversation, or its arguments can be changed."""
    now, is_new = workflow.time(), table >= ASKED_AGAIN
    tool = agent.tool(verdict.tool)
    route = _route(kind, agent, verdict, is_new=is_new)
    schema: dict[str, Json] = {}
    if editable and kind == "approval" and tool and not (is_new and tool.agent and _has_cases(agent, tool)):
        schema = tool.input_schema
    elif kind == "review" and not agent.instructions:
        schema = {"type": "object", "properties": {name: {} for name in args}}
    in_conversation = editable and bool(agent.instructions)
    moments = _moments(kind, route, agent, verdict, now)
    minted = workflow.info().run_id if is_new else ""
    return Request(
        id=number,
        kind=kind,
        step=step,
        agent=agent.name,
        tool=verdict.tool,
        about=tool.description.partition("\n\n")[0] if tool else "",
        args=args,
        args_digest=verdict.args_digest,
        rule=verdict.rule,
        reason=reason,
        asked=now,
        deny_reasons=agent.deny_reasons,
        typed=kind == "review" and agent.result_schema is not None,
        input_schema=schema,
        answer_schema=(agent.result_schema or {}) if in_conversation else {},
        choices=_choices(kind, args),
        # Where it is said who may let an answer go, nobody else gives one.
        can_take_over=in_conversation and kind in ("approval", "question") and not _has_output_route(agent),
        route=route,
        binding=binding(minted or workflow.info().first_execution_run_id, number, verdict.args_digest),
        minted=minted,
        remind=moments.remind,
        escalate=moments.escalate,
        handed_for=moments.handed_for,
        deadline=moments.deadline,
    )


def _route(kind: Kind, agent: AgentSpec, verdict: CallVerdict, *, is_new: bool) -> Route | None:
    own: Route | None = None
    if verdict.routed:
        own = next((each for each in agent.routes if each.id == verdict.routed.route), None)
        # One that is not there is not one that asks nobody.
        own = own or Route(id=verdict.routed.route, verified=True, deadline=agent.deadline)
    if kind == "outcome":
        return first_of(agent.routes, "outcome", verdict.tool) or (_again(own, agent) if own and is_new else None)
    if own:
        return _of_one(own) if kind == "question" else own
    return first_of(agent.routes, "output") if kind == "review" and not agent.instructions else None


def _again(route: Route, agent: AgentSpec) -> Route:
    """Who let the call go says how it ended, and may let it go again; how long that waits is another matter."""
    only = {"remind": 0.0, "escalate": 0.0, "to": (), "deadline": agent.deadline, "then": "deny", "hand_to": ()}
    return route.model_copy(update={**only, "hours": None})


def _of_one(route: Route) -> Route:
    """The route of a question: one answer is enough, by any of those who may decide."""
    return route.model_copy(update={"who": route.who or route.each, "each": (), "need": 1})


def _has_output_route(agent: AgentSpec) -> bool:
    return any(each.point == "output" for each in agent.routes)


def _has_cases(agent: AgentSpec, tool: ToolSpec) -> bool:
    """Whether it matters for the route what this agent is asked: nothing asks once more before it begins."""
    routes = (each for each in agent.routes if each.point == "tool_call" and each.tool in ("", tool.name))
    return any(each.when != "true" for each in routes)


def _moments(kind: Kind, route: Route | None, agent: AgentSpec, verdict: CallVerdict, now: float) -> Routed:
    """When something happens while nobody decides: as recorded with the verdict, where working hours count."""
    if route is None:
        return Routed(route="", deadline=now + agent.deadline)
    recorded = verdict.routed
    if recorded is None or recorded.route != route.id or kind == "outcome":
        return routed(route, now)
    late = now - recorded.at if recorded.at else 0.0
    if abs(late) < _LATE:
        return recorded
    # There was no worker, or clocks differ: who is asked has as long as the route says.
    moments = recorded.model_dump(include={"remind", "escalate", "deadline"})
    return recorded.model_copy(update={name: at + late for name, at in moments.items() if at})


def _choices(kind: Kind, args: dict[str, Json]) -> tuple[str, ...]:
    listed: Any = args.get("choices") if kind == "question" else None
    return tuple(map(str, cast("list[Json]", listed))) if isinstance(listed, list) else ()
