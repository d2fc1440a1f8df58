"""Workflow side. How a request is made: of what the rules said, the route it goes, and the agent that asks."""

from typing import Any, cast

from mainspring.core.approvals import Kind, Request, Routed, binding
from mainspring.core.canonical import Json
from mainspring.core.deciding import routed
from mainspring.core.routes import Route, first_of
from mainspring.core.spec import AgentSpec
from mainspring.core.turn import CallVerdict


def new_request(  # noqa: PLR0917 - each is a part of the question
    number: str,
    kind: Kind,
    agent: AgentSpec,
    step: str,
    verdict: CallVerdict,
    args: dict[str, Json],
    reason: str,
    *,
    now: float,
    first: str,
    editable: bool,
) -> Request:
    """What a person is asked. An `editable` call is one of a conversation, or its arguments can be changed."""
    tool = agent.tool(verdict.tool)
    route = _route(kind, agent, verdict)
    schema: dict[str, Json] = {}
    if editable and kind == "approval" and tool:
        schema = tool.input_schema
    elif kind == "review" and not agent.instructions:
        schema = {"type": "object", "properties": {name: {} for name in args}}
    in_conversation = editable and bool(agent.instructions)
    moments = _moments(route, agent, verdict, now)
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
        binding=binding(first, number, verdict.args_digest),
        remind=moments.remind,
        escalate=moments.escalate,
        handed_for=moments.handed_for,
        deadline=moments.deadline,
    )


def _route(kind: Kind, agent: AgentSpec, verdict: CallVerdict) -> Route | None:
    if kind == "outcome":  # whoever let the call go, and until when, is another matter
        return first_of(agent.routes, "outcome", verdict.tool)
    if verdict.routed:
        found = next((each for each in agent.routes if each.id == verdict.routed.route), None)
        # One that is not there is not one that asks nobody.
        found = found or Route(id=verdict.routed.route, verified=True, deadline=agent.deadline)
        return _of_one(found) if kind == "question" else found
    return first_of(agent.routes, "output") if kind == "review" and not agent.instructions else None


def _of_one(route: Route) -> Route:
    """The route of a question: one answer is enough, by any of those who may decide."""
    return route.model_copy(update={"who": route.who or route.each, "each": (), "need": 1})


def _has_output_route(agent: AgentSpec) -> bool:
    return any(each.point == "output" for each in agent.routes)


def _moments(route: Route | None, agent: AgentSpec, verdict: CallVerdict, now: float) -> Routed:
    """When something happens while nobody decides: as recorded with the verdict, where working hours count."""
    if route is None:
        return Routed(route="", deadline=now + agent.deadline)
    return verdict.routed if verdict.routed and verdict.routed.route == route.id else routed(route, now)


def _choices(kind: Kind, args: dict[str, Json]) -> tuple[str, ...]:
    listed: Any = args.get("choices") if kind == "question" else None
    return tuple(map(str, cast("list[Json]", listed))) if isinstance(listed, list) else ()
