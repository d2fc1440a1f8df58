"""Activity side. `call_tool`: checks the permit, asks the rules once more, runs the tool.

Everything before the tool's own code is certain not to have had an effect, and says so (`NotDone`);
from there on a `once` tool may have, whatever it raises.
"""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from temporalio import activity
from temporalio.exceptions import ApplicationError

from mainspring.contracts.steps import RunRef, Timing, ToolOutcome, ToolWork
from mainspring.core.approvals import Permit
from mainspring.core.canonical import DEEPEST, Json, canonical, digest, is_too_deep, mended
from mainspring.core.facts import Facts
from mainspring.core.flow import Flow, label_of_thread
from mainspring.core.labels import OURS
from mainspring.core.ledger import make_item
from mainspring.core.messages import Message, Status, ToolCall
from mainspring.core.rules import Judgement
from mainspring.core.spec import AgentSpec, ToolSpec
from mainspring.core.tool import Context, Tool
from mainspring.core.turn import CallVerdict
from mainspring.effects.call_model import not_held
from mainspring.effects.gate import flow_of, judged_permitted, verdict_on
from mainspring.effects.heartbeat import heartbeating
from mainspring.effects.judging import ask_redactions, ask_route, ask_rules, known, redact, redactor
from mainspring.effects.ledger import Thread
from mainspring.effects.limiting import limited
from mainspring.effects.redaction import closed
from mainspring.effects.seen import seen
from mainspring.effects.threads import in_thread
from mainspring.effects.world import World
from mainspring.errors import LedgerError, MainspringError, NotDone, PermitError, ToolError
from mainspring.ports.memory import Note
from mainspring.telemetry.spans import tool_span

_ERROR_LIMIT = 4 * 1024
"""Characters of an error that are kept; the model reads them, and so do people."""


async def call_tool(world: World, work: ToolWork) -> ToolOutcome:
    """Run one call, if its permit (or, without one, the rules) let it.

    Raises:
        ApplicationError: NotDone (certainly nothing happened), ToolFailed (retried unless `once`).
    """
    start = time.time_ns()
    async with heartbeating():
        try:
            run = await world.ledger.run(work.run)
            work = work.full(activity.info().activity_id, run.name)
            found = await _at_the_door(world, run, work)
            judged = found.judged
        except Exception as error:  # noqa: BLE001 - whatever it was, the tool has not been run
            if isinstance(error, LedgerError) and activity.info().is_local:
                raise not_held(error) from None
            what = str(error) if isinstance(error, MainspringError) else f"{type(error).__name__}: {error}"
            raise ApplicationError(mended(f"{work.tool} was not run: {what}"), type="NotDone") from None
        if judged.verdict == "deny":
            outcome = _outcome(run, found, judged.reason, "denied", start, judged.rule)
        elif judged.verdict == "ask" or found.spec.asks:
            asked = await _verdict(world, run, found)
            outcome = ToolOutcome(ask=asked, timing=Timing(start=start, end=time.time_ns()))
        else:
            done = await _run(world, run, work, found)
            outcome = _outcome(run, found, done.text, done.status, start, ran=done.ran)
            if done.status == "ok":
                outcome = await _guarded(world, run, found, done.text, start)
    if activity.info().is_local:
        outcome = outcome.model_copy(update={"work": _noted(work).lean(run.name)})
    if outcome.item:
        world.ledger.keep(run, [outcome.item])
    if not outcome.ask:
        world.exporter.export([tool_span(run, work, outcome)])
    return outcome


def _noted(work: ToolWork) -> ToolWork:
    """What a trace, and whoever reads the thread later, need to know of a call whose request is not in history."""
    permit = Permit(source=work.permit.source, request=work.permit.request) if work.permit else None
    new = tuple(entry for entry in work.new if entry.text)
    return ToolWork(step=work.step, tool=work.tool, new=new, permit=permit)


class _Found(NamedTuple):
    """A call and its tool, what the rules say of it, and the thread it stands in.

    `args` are its arguments as the tool reads them, `edited` those that a person changed, where one did; `facts` are
    what the rules were asked about.
    """

    call: ToolCall
    tool: Tool
    spec: ToolSpec
    judged: Judgement
    agent: AgentSpec
    thread: Thread
    args: dict[str, Json]
    facts: Facts
    edited: dict[str, Json] | None = None


async def _at_the_door(world: World, run: RunRef, work: ToolWork) -> _Found:
    """Find the call and its tool, check the permit, and ask the rules; with a permit only `deny` counts."""
    spec = await world.ledger.spec(run)
    agent = spec.agent(work.step.agent)
    thread = await seen(world.guards, run, agent, await world.ledger.thread(run, work.head, work.new))
    message = thread.find(work.call.message)
    if message is None:
        raise PermitError("the thread does not hold the message that calls it")
    call = message.calls[work.call.index]
    tool, tool_spec = world.guards.tools.get(work.tool), agent.tool(work.tool)
    if tool is None or tool_spec is None:
        raise PermitError("this worker does not have it; deploy the tool again, or deny the call")
    if tool.spec.effect != tool_spec.effect:
        raise PermitError(
            f"its effect is {tool.spec.effect!r} on this worker and was {tool_spec.effect!r} when the run began; "
            "start a new run"
        )
    edited = work.permit.args if work.permit else None
    call = call if edited is None else call.model_copy(update={"args": edited})
    args = tool.parse(call.args)
    if work.permit:
        wrong = work.permit.misfit(
            step=work.step.id,
            tool=call.name,
            args_digest=digest(canonical(args if edited is None else edited), run.key),
            policy=run.spec,
            now=time.time(),
        )
        if wrong:
            raise PermitError(wrong)
    # What a model had read was judged with its message, and cannot have changed since.
    is_judged = work.permit is not None and edited is None
    made_of = Flow() if is_judged else flow_of(world.guards.judge(agent), agent, tool_spec, args, thread.messages)
    facts = _facts(run, agent, thread, tool_spec, args).model_copy(update={"flow": made_of})
    judged = await ask_rules(world.guards, agent, "tool_call", facts, thread.messages)
    if tool_spec.opens and judged.verdict != "deny":
        judged = await _judged_opened(world, run, agent, facts, thread) or judged
    if work.permit:
        judged = await judged_permitted(world.guards, work.permit, agent, facts, thread, judged)
    if judged.verdict == "allow" and (waits := await limited(world, run, (agent,), "tool_call", tool=call.name)):
        judged = Judgement(verdict="deny", rule=waits.limit, reason=waits.reason)
    return _Found(call, tool, tool_spec, judged, agent, thread, args, facts, edited)


async def _judged_opened(world: World, run: RunRef, agent: AgentSpec, facts: Facts, thread: Thread) -> Judgement | None:
    """A new `deny` about what tokens in the arguments stand for: that is what the tool is given."""
    try:
        args, opened = redactor(world.guards, run).opened(facts.args)
    except ToolError:  # the tool will not be run with it, which is told then
        return None
    if not opened:
        return None
    told = facts.model_copy(update={"args": args})
    judged = await ask_rules(world.guards, agent, "tool_call", told, thread.messages, written=facts.args)
    return judged if judged.verdict == "deny" else None


def _facts(run: RunRef, agent: AgentSpec, thread: Thread, tool: ToolSpec, args: dict[str, Json]) -> Facts:
    about = {"tool": tool.name, "effect": tool.effect, "args": args, "results": thread.done}
    return known(run, agent).model_copy(update=about)


def _told(run: RunRef, found: _Found, result: Json) -> Facts:
    """The facts about a call that has ended."""
    return _facts(run, found.agent, found.thread, found.spec, found.args).model_copy(update={"result": result})


async def _guarded(world: World, run: RunRef, found: _Found, text: str, start: int) -> ToolOutcome:
    """What a tool gave, as the rules let it be known: without what they take out of it, or withheld altogether."""
    agent, tool = found.agent, found.spec
    if not world.guards.judge(agent).rules("tool_result", tool.name):
        return _outcome(run, found, text, "ok", start)
    value, redactions = await _redacted(world, run, found, cast("Json", json.loads(text)))
    judged = await ask_rules(world.guards, agent, "tool_result", _told(run, found, value), found.thread.messages)
    if judged.verdict == "deny":
        said = f"{tool.name} ran, but its result is withheld: {judged.reason}"
        outcome = _outcome(run, found, said, "error", start, judged.rule, label=str(OURS), ran=True)
    else:
        outcome = _outcome(run, found, canonical(value), "ok", start, judged.rule)
    return outcome.model_copy(update={"matched": (*redactions, *judged.matched)})


async def _redacted(world: World, run: RunRef, found: _Found, value: Json) -> tuple[Json, tuple[str, ...]]:
    """What a tool gave without what rules take out of it, and these rules."""
    facts = _told(run, found, value)
    rules = await ask_redactions(world.guards, found.agent, "tool_result", facts, found.thread.messages)
    return await redact(world.guards, run, value, rules), tuple(rule.id for rule in rules)


class _Ended(NamedTuple):
    """How a tool ended: its result as JSON, or what went wrong, and whether it did its work all the same."""

    text: str
    status: Status
    ran: bool = False


async def _run(world: World, run: RunRef, work: ToolWork, found: _Found) -> _Ended:
    call, tool, spec = found.call, found.tool, found.spec
    context = _context(world, run, work, found)
    limit = asyncio.timeout(spec.timeout)
    opened: dict[str, str] = {}
    try:
        args: Json = call.args
        if spec.opens:
            args, opened = redactor(world.guards, run).opened(args)
        async with limit:
            value = tool.dump(await _performed(tool, cast("dict[str, Json]", args), context, limit))
        if is_too_deep(value):
            return _Ended(f"{tool.name} ran, but its result is nested deeper than {DEEPEST} levels.", "error", ran=True)
        text = mended(canonical(closed(value, opened)))
    except ToolError as error:
        return _Ended(await _in_words(world, run, found, str(error), opened), "error")
    except NotDone as error:
        why = await _in_words(world, run, found, str(error), opened)
        raise ApplicationError(f"{tool.name} was not done: {why}", type="NotDone") from None
    except Exception as error:  # noqa: BLE001 - raised again, in words
        mine = isinstance(error, TimeoutError) and limit.expired()
        what = f"it did not end within {spec.timeout:g} s" if mine else f"{type(error).__name__}: {error}"
        said = await _in_words(world, run, found, what, opened)
        # The error itself would go into the failure's causes, with all its words, and those of its own causes.
        kept = None if opened or _is_redacted(world, found) else error
        raise ApplicationError(said, type="ToolFailed") from kept
    if too_large := world.too_large(text) or world.gauge.too_much(found.agent, text):
        return _Ended(f"{tool.name} ran, but its result {too_large}. Ask for less.", "error", ran=True)
    return _Ended(text, "ok")


def _is_redacted(world: World, found: _Found) -> bool:
    return world.guards.judge(found.agent).says("redact", "tool_result", found.spec.name)


async def _in_words(world: World, run: RunRef, found: _Found, error: str, opened: dict[str, str]) -> str:
    """What a tool says that went wrong, cut short, and without what rules would take out of its result."""
    said: Json = closed(mended(error), opened)
    if _is_redacted(world, found):
        said, _ = await _redacted(world, run, found, said)
    return str(said)[:_ERROR_LIMIT]


async def _performed(tool: Tool, args: dict[str, Json], context: Context, limit: asyncio.Timeout) -> Any:
    """Let the tool work. A `once` call that has begun is seen through, whoever cancels the run or stops the worker."""
    work = asyncio.ensure_future(tool.call(args, context) if tool.is_async else in_thread(tool.call, args, context))
    if tool.spec.effect != "once":
        return await work
    while True:
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if work.done() or limit.expired():  # the tool's own doing, or its time is up
                raise
            if task := asyncio.current_task():
                task.uncancel()  # else the time limit takes its own cancellation for this one


def _context(world: World, run: RunRef, work: ToolWork, found: _Found) -> Context:
    key = f"{run.first}:{work.step.id}"

    async def remember(note: str) -> None:
        if not run.user:
            raise ToolError("this run names no user, so there is nobody to remember this of")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        label = label_of_thread(found.agent, found.thread.messages)
        made = Note(text=note, run=run.first, at=now, label=str(label))
        await world.memory.remember(run.tenant, run.user, made, key)

    return Context(
        run=run.first,
        agent=work.step.agent,
        idempotency_key=key,
        user=run.user,
        tenant=run.tenant,
        remember=remember,
        fence=work.permit.number if work.permit else 1,
    )


async def _verdict(world: World, run: RunRef, found: _Found) -> CallVerdict:
    call, judged = found.call, found.judged
    return CallVerdict(
        id=call.id,
        tool=call.name,
        verdict=verdict_on(found.spec, judged),
        args_digest=digest(canonical(found.args if found.edited is None else found.edited), run.key),
        rule=judged.rule,
        reason=judged.reason,
        matched=judged.matched,
        routed=await ask_route(world.guards, found.agent, "tool_call", found.facts, found.thread.messages),
    )


def _outcome(  # noqa: PLR0917 - each is a part of the outcome
    run: RunRef,
    found: _Found,
    text: str,
    status: Status,
    start: int,
    rule: str = "",
    *,
    label: str = "",
    ran: bool = False,
) -> ToolOutcome:
    call, args = found.call, found.edited
    message = Message(
        role="tool", text=text, call=call.id, tool=call.name, status=status, label=label, ran=ran, args=args
    )
    item = make_item(message, run.key)
    return ToolOutcome(item=item, status=status, rule=rule, timing=Timing(start=start, end=time.time_ns()))
