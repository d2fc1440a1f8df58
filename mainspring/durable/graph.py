"""Workflow side. Runs a LangGraph graph inside the workflow; the only module that meets LangGraph.

A node is a function of the state. It does I/O only through `ask` and `use`, which become steps of the
run; sync functions are made async here, because LangGraph would send them to a thread, which a
workflow refuses. LangGraph's own task ids are random on replay and are never shown or stored.
"""

import asyncio
import functools
import inspect
import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, cast

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception

from mainspring.contracts.steps import CallRef, Step, Stretch, Timing, ToolWork
from mainspring.core.approvals import Decision, Kind, Routed, grant
from mainspring.core.canonical import Json, canonical, digest
from mainspring.core.ledger import Head
from mainspring.core.messages import Message, Status, ToolCall
from mainspring.core.spec import ToolSpec
from mainspring.core.turn import ASKED_AGAIN, CallVerdict
from mainspring.definitions import STAGE, Graph
from mainspring.durable.conversation import Conversation
from mainspring.durable.failures import cause_of, failure, type_of
from mainspring.durable.running import Running
from mainspring.errors import MainspringError, ToolError

GRAPHS: dict[str, Graph] = {}
"""The graphs this process serves, by name; `serve` fills it before the worker starts."""

_ROUNDS = 200
"""How many supersteps a graph may take: one that loops without an end is stopped before it blocks the worker."""

_NODE: ContextVar["_Node"] = ContextVar("mainspring_node")


class _Node:
    """One execution of a graph node, and the steps it has made."""

    def __init__(self, name: str, step: str) -> None:
        self.name = name
        self.step = step
        self._steps = 0

    def next(self) -> str:
        self._steps += 1
        return f"{self.step}.{self._steps}"


async def hold_graph(run: Running) -> tuple[str, Json]:
    """Run the graph to its end: its answer, and the rest of its state as JSON.

    Raises:
        ApplicationError: GraphFailed, naming node and cause; or what failed inside a node.
    """
    graph = GRAPHS.get(run.spec.name)
    if graph is None:
        # Not a failure of the run: another worker has the graph, or the next deploy brings it back.
        name = run.spec.name
        raise RuntimeError(
            f"This worker has no graph {name!r}, which this run was admitted with. The run waits: put back the module "
            f"that defines Graph({name!r}, …), or start a worker that has it. `mainspring replay` shows which runs "
            "need it."
        )
    known = set(graph.graph.state_schema.__annotations__)
    given = {"input": run.given.input, "user": run.given.user, "tenant": run.given.tenant}
    STAGE.set(_Stage(run))
    try:
        compiled = _Wrapped(run, graph).compile()
        state: dict[str, Any] = await compiled.ainvoke(
            {k: v for k, v in given.items() if k in known}, {"recursion_limit": _ROUNDS}
        )
    except (FailureError, asyncio.CancelledError):
        raise
    except Exception as error:  # noqa: BLE001 - what LangGraph says of the graph: no dict, unknown node, endless loop
        # Its messages quote values of the state, which may be a customer's; the kind says enough.
        raise failure("GraphFailed", f"graph {graph.name!r}: {_why(error)}") from None
    rest = {k: v for k, v in state.items() if k not in given and k != "answer"}
    try:
        result = cast("Json", json.loads(json.dumps(rest, default=_jsonable)))
    except (TypeError, ValueError) as error:
        raise failure("GraphFailed", f"graph {graph.name!r} ended with a state that is no JSON: {error}") from None
    return str(state.get("answer", "")), result


def _why(error: Exception) -> str:
    what = type(error).__name__
    if what == "GraphRecursionError":
        return f"it was not done after {_ROUNDS} rounds. Give its loop an end."
    return (
        f"{what}. A node must return a dict of the state's keys, a router the name of a node; see LangGraph on {what}."
    )


class _Wrapped:
    """The author's graph with every function made fit for a workflow."""

    def __init__(self, run: Running, graph: Graph) -> None:
        self._run = run
        self._graph = graph
        self._count = 0

    def compile(self) -> Any:
        """Compile a copy whose nodes are steps and whose routers are async."""
        from langgraph.graph import StateGraph

        source = self._graph.graph
        copy: Any = StateGraph(
            source.state_schema, input_schema=source.input_schema, output_schema=source.output_schema
        )
        for name, node in source.nodes.items():
            copy.add_node(
                name,
                self._step(name, node.runnable.func or node.runnable.afunc),
                defer=node.defer,
                metadata=node.metadata,
                input_schema=node.input_schema,
                destinations=node.ends or None,
            )
        for start, end in source.edges:
            copy.add_edge(start, end)
        for starts, end in source.waiting_edges:
            copy.add_edge(list(starts), end)
        for start, branches in source.branches.items():
            for branch in branches.values():
                copy.add_conditional_edges(start, self._route(start, branch), branch.ends)
        return copy.compile()

    def _step(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)  # LangGraph reads the signature for what to inject (config, runtime …)
        async def run_node(state: Any, **injected: Any) -> Any:
            self._count += 1
            node = _Node(name, str(self._count))
            _NODE.set(node)  # LangGraph gives each node a context of its own
            start = int(self._run.memo.setdefault(f"{node.step} began", str(workflow.time_ns())))
            try:
                update = await self._guarded(name, functools.partial(function, state, **injected))
                update = await self._reviewed(node, update) if name in self._graph.review else update
            except (FailureError, asyncio.CancelledError):
                self._ended(node, start)
                raise
            self._ended(node, start)
            return update

        return run_node

    async def _reviewed(self, node: _Node, update: Any) -> Any:
        """What a node gave, once a person has let it go, with what they changed of it."""
        own, key = self._run.spec.agent(self._run.spec.name), f"{node.step} changed"
        fields = _fields(self._graph.name, node.name, update)
        if key not in self._run.memo:
            made = digest(canonical(fields), self._run.ref.key)
            verdict = CallVerdict(tool=node.name, verdict="ask", args_digest=made)
            reason = f"Graph {own.name!r} has what {node.name!r} gives reviewed."
            step = node.next()
            decision = await self._run.approvals.ask("review", own, step, verdict, fields, reason, editable=True)
            if decision.choice != "approve":
                raise failure("Stopped" if decision.choice == "stop" else "NotReviewed", decision.reason)
            self._run.memo[key] = canonical(decision.args or {})
            self._run.approvals.told(step, "review")
        changed: dict[str, Any] = json.loads(self._run.memo[key])
        kept = cast("dict[str, Any]", update or {})
        return {**kept, **{name: value for name, value in changed.items() if value != fields.get(name)}}

    def _ended(self, node: _Node, start: int) -> None:
        done = f"{node.step} ended"
        if done not in self._run.memo:  # else the execution before let its span out
            self._run.memo[done] = ""
            timing = Timing(start=start, end=workflow.time_ns())
            self._run.nodes.append(Stretch(step=node.step, node=node.name, timing=timing))

    def _route(self, name: str, branch: Any) -> Callable[..., Any]:
        function: Callable[..., Any] = branch.path.func or branch.path.afunc
        known = set(branch.ends or (*self._graph.graph.nodes, "__end__"))

        @functools.wraps(function)
        async def route(state: Any, **injected: Any) -> Any:
            found = await self._guarded(f"router of {name}", functools.partial(function, state, **injected))
            targets = cast("list[Any]", found) if isinstance(found, list) else [found]
            for target in targets:
                if isinstance(target, str) and target not in known:  # LangGraph would just end the run
                    why = f"graph {self._graph.name!r}: the router of {name!r} names {target!r}, which is no node."
                    raise failure("GraphFailed", why)
            return cast("Any", found)

        return route

    async def _guarded(self, name: str, call: Callable[[], Any]) -> Any:
        try:
            found = call()
            return await found if inspect.isawaitable(found) else found
        except (FailureError, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever an author's node raises
            # A plain exception would fail the workflow task again and again; nobody would be told.
            what = str(error) if isinstance(error, MainspringError) else f"{type(error).__name__}: {error}"
            raise failure("GraphFailed", f"graph {self._graph.name!r}, node {name!r}: {what}") from None


class _Stage:
    """`ask` and `use` of one run's nodes.

    What a step gave is kept in the run's memo: where the run continues as new, the graph is run again from its
    start, and steps that were made give what they gave.
    """

    def __init__(self, run: Running) -> None:
        self._run = run

    async def ask(self, agent: str, text: str) -> str:
        node = _NODE.get()
        try:
            spec = self._run.spec.agent(agent)
        except KeyError:
            raise ToolError(f"agent {agent!r} is not among Graph({self._run.spec.name!r}, agents=[…]).") from None
        step = node.next()
        if step not in self._run.memo:
            # A node makes the text of what it likes: of what the user said, or of what an agent gave.
            label = self._run.spec.agent(self._run.spec.name).input
            self._run.memo[step] = await Conversation(self._run, spec, step, node.name).hold(text, label)
        return self._run.memo[step]

    async def use(self, tool: str, args: Mapping[str, Json]) -> Json:
        node = _NODE.get()
        own = self._run.spec.agent(self._run.spec.name)
        spec = own.tool(tool)
        if spec is None:
            raise ToolError(f"tool {tool!r} is not among Graph({own.name!r}, tools=[…]).")
        step = node.next()
        call = ToolCall(id=f"call_{step.replace('.', '_')}", name=tool, args=dict(args))
        if step not in self._run.memo:
            entry = self._run.entry(Message(role="assistant", calls=(call,)))
            work = ToolWork(
                step=Step(id=step, agent=own.name, node=node.name),
                tool=tool,
                head=Head(thread=step),
                new=(entry,),
                call=CallRef(message=entry.digest, index=0),
            )
            await self._through_gate(spec, work, call)
        message = Message.model_validate_json(self._run.memo[step])
        if message.status != "ok":
            raise ToolError(message.text)
        return message.value

    async def _through_gate(self, tool: ToolSpec, work: ToolWork, call: ToolCall) -> None:
        """Have the call made, or refused; what came of it is in the memo then."""
        verdict = await self._attempt(tool, work, call)
        while verdict:
            own = self._run.spec.agent(self._run.spec.name)
            kind: Kind = "question" if verdict.verdict == "question" else "approval"
            args = _args(work, call)
            decision = await self._run.approvals.ask(
                kind, own, work.step.id, verdict, args, verdict.reason, editable=True
            )
            if decision.choice == "stop":
                raise failure("Stopped", decision.reason)
            if decision.choice == "answer":
                self._keep(work, canonical(decision.answer), "ok")
                self._run.approvals.told(work.step.id, kind)
                return
            if decision.choice != "approve":
                self._keep(work, f"{tool.name} was not allowed: {decision.reason}", "denied")
                return
            work = self._permitted(work, verdict, decision)
            verdict = await self._attempt(tool, work, call)

    async def _attempt(self, tool: ToolSpec, work: ToolWork, call: ToolCall) -> CallVerdict | None:
        """Make the call; the verdict, where the rules want a person and nothing was run."""
        step = work.step.id
        while True:
            if step in self._run.unknown:
                decision = await self._settle_outcome(tool, work, call)
                if decision is None:
                    return None
                work = self._permitted(work, self._unsettled(work, call), decision)
            await self._run.traffic.enter()
            self._told(step, work)
            try:
                outcome = await self._run.call_tool(tool, work, local=self._is_local(tool, work))
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                if tool.effect != "once" or type_of(error) == "NotDone":
                    self._keep(work, f"{tool.name} failed: {cause_of(error)}", "error")
                    return None
                self._run.unknown[step] = cause_of(error)
            else:
                if outcome.item:
                    self._run.memo[step] = self._worded(tool, outcome.item.text)
                return outcome.ask
            finally:
                self._run.traffic.leave()

    def _is_local(self, tool: ToolSpec, work: ToolWork) -> bool:
        return work.permit is None and self._run.is_local(self._run.spec.agent(self._run.spec.name), tool)

    def _told(self, step: str, work: ToolWork) -> None:
        """A decision has been acted on once the call it is about begins."""
        self._run.unknown.pop(step, None)
        self._run.approvals.told(step, "outcome")
        if work.permit:
            self._run.approvals.told(step, "approval")
            self._run.memo[f"{step} number"] = str(work.permit.number)

    def _worded(self, tool: ToolSpec, text: str) -> str:
        message = Message.model_validate_json(text)
        if message.status == "ok":
            return text
        return message.model_copy(update={"text": f"{tool.name}: {message.text}"}).model_dump_json()

    def _keep(self, work: ToolWork, text: str, status: Status) -> None:
        message = Message(role="tool", text=text, tool=work.tool, status=status)
        self._run.memo[work.step.id] = message.model_dump_json(exclude_defaults=True)

    async def _settle_outcome(self, tool: ToolSpec, work: ToolWork, call: ToolCall) -> Decision | None:
        """Ask a person how a `once` call ended; gives the decision only where it may be run again."""
        own = self._run.spec.agent(self._run.spec.name)
        verdict, args = self._unsettled(work, call), _args(work, call)
        reason = self._run.unknown[work.step.id]
        decision = await self._run.approvals.ask("outcome", own, work.step.id, verdict, args, reason)
        if decision.choice == "happened":
            self._keep(
                work, f"{tool.name}: a person confirmed that it took effect, but its result is not known.", "error"
            )
            return None
        if decision.choice != "not happened":
            raise failure("UnknownOutcome", decision.reason)
        return decision

    def _unsettled(self, work: ToolWork, call: ToolCall) -> CallVerdict:
        """What is to be said of a call that ended without a known result: its arguments, and by whom it was let go."""
        made = work.permit.args_digest if work.permit else digest(canonical(call.args), self._run.ref.key)
        routed = Routed(route=work.permit.route) if work.permit and work.permit.route else None
        return CallVerdict(id=call.id, tool=call.name, verdict="ask", args_digest=made, routed=routed)

    def _permitted(self, work: ToolWork, verdict: CallVerdict, decision: Decision) -> ToolWork:
        """The call with a person's leave; where they said that it did not happen, that is one number higher."""
        number = int(self._run.memo.get(f"{work.step.id} number", "1")) + (decision.choice == "not happened")
        args = decision.args if decision.args is not None else work.permit.args if work.permit else None
        permit = grant(
            step=work.step.id,
            tool=work.tool,
            args_digest=verdict.args_digest if decision.args is None else digest(canonical(args), self._run.ref.key),
            policy=self._run.ref.spec,
            decision=decision,
            number=number,
            args=args,
            route=None if self._run.spec.turn < ASKED_AGAIN else verdict.routed.route if verdict.routed else "",
        )
        return work.model_copy(update={"permit": permit})


def _args(work: ToolWork, call: ToolCall) -> dict[str, Json]:
    """What the call runs with: its own arguments, or what a person changed them to."""
    return dict(call.args if work.permit is None or work.permit.args is None else work.permit.args)


def _fields(graph: str, node: str, update: Any) -> dict[str, Json]:
    """What a node gave, as a person is shown it.

    Raises:
        ApplicationError: GraphFailed, where it cannot be shown.
    """
    try:
        fields: Any = json.loads(json.dumps(update or {}, default=_jsonable))
    except (TypeError, ValueError) as error:
        raise failure("GraphFailed", f"graph {graph!r}: what {node!r} gave cannot be reviewed: {error}") from None
    if not isinstance(fields, dict):
        raise failure("GraphFailed", f"graph {graph!r}: {node!r} must return a dict of the state's keys.")
    return cast("dict[str, Json]", fields)


def _jsonable(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} in the graph's state is no JSON value")
