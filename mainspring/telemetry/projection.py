"""Rebuilds a run's trace from its history alone: while it runs, while it waits, or years after it ended.

Neither side; pure but for the decoding of payloads.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from temporalio.converter import DataConverter

from mainspring.contracts import names
from mainspring.contracts.steps import (
    Admission,
    AdmitRequest,
    CompactWork,
    ModelAnswer,
    ModelCall,
    Stretch,
    ToolOutcome,
    ToolWork,
)
from mainspring.core.approvals import BUTTON, OUTCOMES, OWN_WORDS, Choice, Kind, Vote
from mainspring.core.deciding import AGREEING
from mainspring.core.spec import Spec
from mainspring.core.turn import CallVerdict
from mainspring.telemetry import attributes as a
from mainspring.telemetry import ids
from mainspring.telemetry.history import Activity, Click, Events, Facts, Wait, read_facts
from mainspring.telemetry.spans import (
    Attributes,
    Span,
    finished,
    judged,
    make_span,
    model_attributes,
    root_span,
    run_of,
    stretch_span,
    tool_attributes,
    totals_attributes,
)
from mainspring.telemetry.trace import Trace, in_order

ASKED: dict[str, Kind] = {"ask": "approval", "question": "question"}
"""What kind of request comes of a verdict on a call."""
STOP = "stop the run"
DECIDING = {names.APPROVE, names.DENY, names.ANSWER, names.TAKE_OVER}
"""The stable updates that decide."""
BUTTONS: dict[str, Choice] = {
    "it happened": "happened",
    "it did not happen, run it": "not happened",
    "give up": "give up",
}
"""How run-time updates name an outcome."""


@dataclass
class _Ask:
    """Why a person was asked: `kind` is that of the request, `step` the call that waits, `route` the way it went.

    `deadline` (seconds since 1970) is what was worked out for that route, 0 where nothing was.
    """

    order: tuple[int, int]
    step: str
    tool: str
    agent: str
    kind: str
    rule: str = ""
    route: str = ""
    deadline: float = 0.0


async def project(events: Events, converter: DataConverter) -> Trace:
    """The trace of the execution whose history this is, oldest event first.

    What goes on has no end; where the run itself has ended, everything has.
    """
    return _Projection(await read_facts(events, converter)).trace()


def joined(parts: Iterable[Trace]) -> Trace:
    """The trace of a run that continued as new, from those of its executions, oldest first.

    Of a span that several have (the run itself, what was under way in between), the last one counts.
    """
    spans: dict[str, Span] = {}
    live: frozenset[str] = frozenset()
    run = ""
    for part in parts:
        run, live = part.run, live | part.live
        spans.update((span.id, span) for span in part.spans)
    return Trace(run=run, spans=in_order(spans.values()), live=live)


class _Projection:
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._run = run_of(AdmitRequest(name=facts.name, first=facts.first, input=facts.given))
        admissions = (each.result for each in facts.activities if isinstance(each.result, Admission))
        held = facts.carried or next(admissions, None)
        self._spec = Spec.model_validate_json(held.spec.text) if held and held.spec.text else None
        continues = facts.outcome == "continued" or (facts.closing and facts.closing.outcome == "continued")
        self._ended = None if continues else facts.ended

    def trace(self) -> Trace:
        """All spans. Each call is one step, and of its activities the last one counts."""
        last = {each.id: each for each in self._facts.activities if not _asks(each)}
        live: list[Span] = []
        spans: list[tuple[str, Span]] = []
        for each in last.values():
            done = finished(self._run, each.work, each.result) if each.result else ()
            live.extend(done)
            spans.extend((each.id, span) for span in done or (self._unfinished(each),))
        spans.extend(self._waits())
        containers = self._containers(spans)
        everything = [self._root(), *(span for _, span in spans), *containers]
        return Trace(run=self._run.first, spans=in_order(everything), live=frozenset(span.id for span in live))

    def _unfinished(self, activity: Activity) -> Span:
        """A step that failed, goes on, or was left when the run ended."""
        work = activity.work
        if isinstance(work, AdmitRequest):
            name, own = "admit", Attributes()
        elif isinstance(work, ModelCall):
            name, own = "chat", model_attributes(work.step)
        elif isinstance(work, CompactWork):
            name, own = "compact", model_attributes(work.step) | {a.OPERATION: ""}
        else:
            name, own = f"execute_tool {work.tool}", tool_attributes(work)
        left = activity.ended is None and self._ended is not None
        return make_span(
            self._run,
            activity.id,
            name,
            start=activity.began or activity.scheduled,
            end=activity.ended or self._ended,
            own=own,
            kind="client" if isinstance(work, ModelCall) else "internal",
            error="Cancelled" if left else activity.error,
        )

    def _root(self) -> Span:
        facts = self._facts
        closing = facts.closing
        if closing and closing.began and closing.outcome != "continued":
            return root_span(closing)
        agent = self._spec is not None and self._spec.kind == "agent"
        operation = "invoke_agent" if agent else "invoke_workflow"
        own: Attributes = {
            a.OPERATION: operation,
            (a.AGENT if agent else a.WORKFLOW): facts.name,
            a.WORKFLOW_ID: facts.workflow_id,
            a.OUTCOME: "" if self._ended is None else closing.outcome if closing else facts.outcome,
            **(totals_attributes(closing.totals) if closing and self._ended is not None else {}),
        }
        bad = own[a.OUTCOME] in ("failed", "terminated", "timed out")
        error = (closing.error if closing else facts.error) or str(own[a.OUTCOME])
        return make_span(
            self._run,
            ids.RUN,
            f"{operation} {facts.name}",
            start=facts.carried.began if facts.carried else facts.started,
            end=self._ended,
            own=own,
            error=error if bad else "",
        )

    def _waits(self) -> Iterable[tuple[str, Span]]:
        """The waits, each with the step that it held up: they are its siblings, under the same agent."""
        asks = sorted(self._asks(), key=lambda ask: ask.order)
        for wait in self._facts.waits:
            ask = next((ask for ask in asks if ask.step == wait.step), None)
            if ask:
                asks.remove(ask)
            yield wait.step, self._wait(wait, ask)

    def _wait(self, wait: Wait, ask: _Ask | None) -> Span:
        clicks = clicks_on(self._facts.clicks, wait.request)
        own: Attributes = {
            a.REQUEST: wait.request,
            a.ASKED: ask.kind if ask else "approval",
            a.TOOL: wait.tool,
            a.AGENT: ask.agent if ask else "",
            a.RULE: ask.rule if ask else "",
            a.DEADLINE: wait.deadline // 1_000_000_000 or int(ask.deadline if ask else 0) or "",
            a.ROUTE: ask.route if ask else "",
            **self._decision(wait, clicks, ask.route if ask else ""),
        }
        return make_span(
            self._run,
            ids.wait_step(wait.request),
            f"wait for a person: {wait.tool}",
            start=wait.asked,
            end=clicks[-1].at if _is_decided(wait, clicks) else wait.ended or self._ended,
            own=own,
            under=ids.parent_step(wait.step),
        )

    def _decision(self, wait: Wait, clicks: Sequence[Click], route: str) -> Attributes:
        if _is_decided(wait, clicks):
            return _decided(clicks, wait.votes)
        if wait.expired:
            routes = (each for agent in (self._spec.agents if self._spec else ()) for each in agent.routes)
            then = next((each.then for each in routes if each.id == route), "deny")
            return {a.DECISION: then if then in ("approve", "playbook") else "expired"}
        return {}

    def _asks(self) -> Iterable[_Ask]:
        """Everything a person was asked, from what the rules said and from `once` calls that ended unknown."""
        for request in self._facts.carried.questions.open if self._facts.carried else ():
            route = (request.route.id if request.route else "", request.deadline)
            yield _Ask((0, 0), request.step, request.tool, request.agent, request.kind, request.rule, *route)
        for each in self._facts.activities:
            work, result = each.work, each.result
            if isinstance(work, ModelCall) and isinstance(result, ModelAnswer):
                if review := result.review:
                    step, route = _following(work.step.id, 1), _route(review)
                    yield _Ask((each.event, 0), step, review.tool, work.step.agent, "review", review.rule, *route)
                for index, (tool, verdict) in enumerate(judged(result)):
                    if kind := ASKED.get(verdict.verdict):
                        step = _following(work.step.id, index + 1)
                        order = (each.event, index)
                        yield _Ask(order, step, tool, work.step.agent, kind, verdict.rule, *_route(verdict))
            elif isinstance(work, ToolWork):
                step, order = work.step, (each.event, 0)
                if isinstance(result, ToolOutcome) and (ask := result.ask):
                    kind = ASKED.get(ask.verdict, "approval")
                    yield _Ask(order, step.id, work.tool, step.agent, kind, ask.rule, *_route(ask))
                elif each.error not in ("", "NotDone", "Cancelled") and self._is_once(work):
                    yield _Ask(order, step.id, work.tool, step.agent, "outcome")

    def _is_once(self, work: ToolWork) -> bool:
        agents = self._spec.agents if self._spec else ()
        tools = (agent.tool(work.tool) for agent in agents if agent.name == work.step.agent)
        return any(tool.effect == "once" for tool in tools if tool)

    def _containers(self, spans: list[tuple[str, Span]]) -> Iterable[Span]:
        """The spans of graph nodes and nested agents: as the run told when it closed, else as their steps show."""
        closing = self._facts.closing
        known = {each.step: each for each in (*closing.nodes, *closing.agents)} if closing and closing.began else {}
        yield from (stretch_span(self._run, each) for each in known.values())
        nodes = {node.step: node for node in closing.nodes} if closing else {}
        works = [each.work for each in self._facts.activities if not isinstance(each.work, AdmitRequest)]
        # Whoever asks a model is an agent; the node stands above everything that it does.
        agents = {work.step.id.rpartition(".")[0]: work.step.agent for work in works if isinstance(work, ModelCall)}
        named = {work.step.id.partition(".")[0]: work.step.node for work in works if work.step.node}
        named.update({step: node.node for step, node in nodes.items()})
        for path in sorted({*nodes, *(up for step, _ in spans for up in _above(step))} - set(known)):
            within = [span for step, span in spans if step.startswith(f"{path}.")]
            agent = agents.get(path, "")
            node = "" if agent or "." in path else named.get(path, "")
            name = f"invoke_agent {agent}" if agent else f"node {node}" if node else f"step {path}"
            own: Attributes = {a.OPERATION: "invoke_agent" if agent else "", a.AGENT: agent, a.NODE: node}
            start, end = self._extent(within, nodes.get(path))
            yield make_span(self._run, path, name, start=start, end=end, own=own)

    def _extent(self, within: list[Span], node: Stretch | None) -> tuple[int, int | None]:
        if node:
            return node.timing.start, node.timing.end
        ends = [span.end for span in within if span.end is not None]
        over = len(ends) == len(within) and (self._ended is not None or not self._facts.ended)
        return min(span.start for span in within), max(ends) if over else None


def _asks(activity: Activity) -> bool:
    return isinstance(activity.result, ToolOutcome) and activity.result.ask is not None


def _following(step: str, number: int) -> str:
    """The step this many after `step`: the turn gives a message's calls the next ones, in the message's order."""
    path, dot, last = step.rpartition(".")
    return f"{path}{dot}{int(last) + number}"


def _above(step: str) -> list[str]:
    parts = step.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _route(verdict: CallVerdict) -> tuple[str, float]:
    return (verdict.routed.route, verdict.routed.deadline) if verdict.routed else ("", 0.0)


def _request(click: Click) -> str:
    """The request that an update decides, or helps to."""
    if button := BUTTON.fullmatch(click.name):
        return button["request"]
    return str(click.form.get("request", "")) if click.name in DECIDING else ""


def choice_of(click: Click) -> str:
    """What an update decides (`core.approvals.Choice`), by its name or its form."""
    button = BUTTON.fullmatch(click.name)
    verb, said = (button["verb"], button["rest"]) if button else (click.name, str(click.form.get("outcome", "")))
    if verb == names.DENY:
        return "stop" if said == STOP or click.form.get("stop") is True else verb
    return {**OUTCOMES, **BUTTONS}.get(said, verb) if verb == names.ANSWER else verb


def clicks_on(clicks: Iterable[Click], request: str) -> list[Click]:
    """The updates by which people said something to a request that the run took, in that order."""
    return sorted((each for each in clicks if each.taken and _request(each) == request), key=lambda each: each.taken)


def deciding(clicks: Sequence[Click]) -> list[Click]:
    """Of the updates on a request that people decided, the last one, and those that it agreed with.

    Whoever agreed before an edit agreed to something else.
    """
    agreed = [each for each in clicks[_last_edit(clicks) or 0 :] if choice_of(each) == choice_of(clicks[-1])]
    return agreed if agreed and choice_of(agreed[0]) in AGREEING else agreed[-1:]


def _last_edit(clicks: Sequence[Click]) -> int | None:
    edits = (at for at, each in enumerate(clicks) if each.form.get("args") or each.form.get("answer"))
    return max(edits, default=None)


def _is_decided(wait: Wait, clicks: Sequence[Click]) -> bool:
    """Whether the last of these decided it: where a deadline came, only one that was taken after that can have."""
    return bool(clicks) and wait.is_over and clicks[-1].taken > wait.expired


def _decided(clicks: Sequence[Click], before: Sequence[Vote]) -> Attributes:
    """What the last of these said, and all who said it."""
    click = clicks[-1]
    button, edited, choice = BUTTON.fullmatch(click.name), click.form.get("args"), choice_of(click)
    counts = choice in AGREEING and _last_edit(clicks) is None
    earlier = [vote.identity.words for vote in before if vote.choice == choice] if counts else []
    return {
        a.DECISION: choice,
        # What stands in an update's name is of the policy's making; what stands in its form, a person typed.
        a.REASON: button["rest"] if button and choice == names.DENY and button["rest"] != OWN_WORDS else "",
        a.EDITED: tuple(sorted(edited)) if isinstance(edited, dict) else (),
        a.DECIDED_BY: "; ".join(dict.fromkeys([*earlier, *map(_by, deciding(clicks))])),
    }


def _by(click: Click) -> str:
    if click.known:
        return click.known.words
    return f"claimed: {click.identity}" if click.identity else "unverified: Web UI"
