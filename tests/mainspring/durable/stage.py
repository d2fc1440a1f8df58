"""The stage for plans: a model and tools that do what the plan of their run says, and two workers on a real server.

One worker has a cache of texts, which is cleared at random; the other has none, so each step reads the history. Runs
continue as new after a few turns. Neither lets a run go from memory: one that goes in the middle of a read makes it
again, which no plan foretells.
"""

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from mainspring import Agent, Context, NotDone, ToolError, tool
from mainspring.adapters.store_memory import open_sqlite
from mainspring.core.messages import Message, ToolCall, count_replies
from mainspring.durable import continuing, perform, running
from mainspring.durable.run import AnyRun
from mainspring.effects.activities import Activities
from mainspring.effects.guards import Guards
from mainspring.effects.ledger import Ledger
from mainspring.effects.world import World
from mainspring.errors import ModelError
from mainspring.ports.model import Model, ModelReply, ModelRequest
from mainspring.serve import _drop_quietly
from mainspring.telemetry.export import Exporter
from tests.mainspring.durable.plans import Call, Line, Plan, reply_at, result

RULES = """
approvals:
  deadline: {deadline}
rules:
  - {{id: asks, point: tool_call, when: 'has(args.verdict) && args.verdict == "ask"', verdict: ask, reason: Look.}}
  - {{id: denies, point: tool_call, when: 'has(args.verdict) && args.verdict == "deny"', verdict: deny, reason: No.}}
  - {{id: allows, point: tool_call, when: 'has(args.verdict) && args.verdict == "allow"', verdict: allow, reason: Yes.}}
"""
SUMMARY = ModelReply(text="A summary.", model="priced", provider="scripted", input_tokens=5, output_tokens=2)


@dataclass
class Seen:
    """A run under test: its plan, and what model and tools have seen of it."""

    plan: Plan
    calls: dict[int, Call]
    effects: dict[int, list[tuple[int, str]]] = field(default_factory=dict[int, list[tuple[int, str]]])
    threads: dict[str, list[list[Line]]] = field(default_factory=dict[str, list[list[Line]]])
    failed: Counter[str] = field(default_factory=Counter[str])


RUNS: dict[str, Seen] = {}
LEDGER = Ledger()


def act(number: int, context: Context) -> str:
    """Attempt a call, and let it end as the plan says of this attempt."""
    seen = RUNS[str(activity.info().workflow_id)]
    call, before = seen.calls[number], seen.effects.setdefault(number, [])
    before.append((context.fence, context.idempotency_key))
    how = call.outcomes[len(before) - 1] if len(before) <= len(call.outcomes) else "ok"
    if how == "error":
        raise ToolError("that is no good")
    if how == "not done":
        raise NotDone("nothing happened")
    if how == "raise":
        raise RuntimeError("the line broke")
    return str(json.loads(result(call, seen.plan)))


@tool(effect="read", returns="trusted")
def look(number: int, verdict: str, pause: float, context: Context) -> str:
    """Look, in a thread of its own."""
    time.sleep(pause)
    return act(number, context)


@tool(effect="idempotent", returns="trusted")
async def send(number: int, verdict: str, pause: float, context: Context) -> str:
    """Send."""
    await asyncio.sleep(pause)
    return act(number, context)


@tool(effect="once", returns="trusted")
async def launch(number: int, verdict: str, pause: float, context: Context) -> str:
    """Launch."""
    await asyncio.sleep(pause)
    return act(number, context)


TOOLS = [look, send, launch]


class Planned(Model):
    """Says what the plan of the run says."""

    async def reply(self, request: ModelRequest) -> ModelReply:
        """The next message of this thread; what the thread held is kept."""
        if not request.tools:
            return SUMMARY
        seen = RUNS[str(activity.info().workflow_id)]
        number = int(request.messages[0].text) if request.agent.startswith("helper") else 0
        thread = f"helper {number}" if number else ""
        replies = seen.calls[number].helper if number else seen.plan.replies
        spoken = count_replies(request.messages)
        reply = reply_at(replies, spoken, thread)
        lines = [line_of(message) for message in request.messages]
        threads = seen.threads.setdefault(thread, [])
        if threads[-1:] != [lines]:  # not another attempt
            threads.append(lines)
        if reply.forget:
            LEDGER.clear()
        unread = [message.role for message in request.messages[newest(request.messages) :]]
        if reply.breaks and "user" not in unread:
            raise ModelError("it is gone", retryable=False)
        attempt = f"{thread}/{spoken}"
        seen.failed[attempt] += 1
        if seen.failed[attempt] <= reply.fails:
            raise ModelError("it is busy")
        return ModelReply(
            text=reply.text,
            calls=tuple(asked(call, request.agent) for call in reply.calls),
            model="priced" if reply.priced else "unpriced",
            provider="scripted",
            input_tokens=reply.tokens[0],
            output_tokens=reply.tokens[1],
        )


def asked(call: Call, agent: str) -> ToolCall:
    """A call as the model makes it."""
    if call.tool == "helper":
        return ToolCall(id="any", name=f"helper_{agent}".replace("-", "_"), args={"request": str(call.number)})
    verdict = None if call.tool == "wrong" else call.verdict
    args: dict[str, Any] = {"number": call.number, "verdict": verdict, "pause": call.pause}
    return ToolCall(id="any", name="look" if call.tool == "wrong" else call.tool, args=args)


def newest(messages: tuple[Message, ...]) -> int:
    """Where what came after the model's last message begins."""
    return max((at + 1 for at, message in enumerate(messages) if message.role == "assistant"), default=0)


def line_of(message: Message) -> Line:
    """A message as the plain model writes it."""
    if message.role == "assistant":
        numbers = (str(call.args.get("number", call.args.get("request"))) for call in message.calls)
        return ("assistant", message.text, *numbers)
    if message.role == "tool":
        return ("tool", message.status, message.text if message.status == "ok" else "")
    return (message.role, "empty" if message.text.startswith("You gave an empty answer") else message.text)


# The stage


@dataclass
class Stage:
    """A server, two workers, and the agents they serve, which grow with each run."""

    client: Client
    folder: Path
    agents: dict[str, Agent[str]]

    def cast(self, plan: Plan) -> str:
        """Put the agent of a plan on stage; its name."""
        name = f"agent-{uuid.uuid4().hex[:8]}"
        rules = self.folder / f"rules-{plan.nobody}.yaml"
        rules.write_text(RULES.format(deadline="1s" if plan.nobody else "1d"))
        helper: Agent[str] = Agent(
            f"helper-{name}",
            instructions="Help.",
            tools=TOOLS,
            rules=rules,
            mode=plan.helper_mode,
            description="Helps.",
        )
        self.agents[name] = Agent(
            name,
            instructions="Work.",
            tools=[*TOOLS, helper],
            rules=rules,
            mode=plan.mode,
            max_steps=plan.limit,
            context=4500 if plan.shorten else 0,
            shorten=plan.shorten or "trim",
        )
        return name


@asynccontextmanager
async def set_up(client: Client, folder: Path) -> AsyncGenerator[Stage]:
    """Two workers in this process, with pauses cut short and a run's history full after a few turns."""
    stage = Stage(client, folder, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(continuing, "EVENTS", 30)
        patch.setattr(perform, "_FIRST_PAUSE", timedelta(milliseconds=20))
        patch.setattr(running, "_NOT_DONE_PAUSE", timedelta(milliseconds=20))
        patch.setattr(running, "LOCAL_LIMIT", timedelta(seconds=30))  # no read is slow for want of a processor
        async with _worker(stage, "warm", LEDGER), _worker(stage, "cold", Ledger(limit=0)):
            yield stage
        _drop_quietly()


@asynccontextmanager
async def _worker(stage: Stage, queue: str, ledger: Ledger) -> AsyncGenerator[None]:
    """A worker with this cache."""
    async with open_sqlite(stage.folder / f"{queue}.db") as memory:
        world = World(
            agents=stage.agents,
            graphs={},
            guards=Guards({each.name: each for each in TOOLS}),
            default_model="test:model",
            open_model=lambda *_: Planned(),
            price=lambda _, model, read, written: read + written if model == "priced" else None,
            memory=memory,
            exporter=Exporter(),
            ledger=ledger,
        )
        async with Worker(
            stage.client,
            task_queue=queue,
            workflows=[AnyRun],
            activities=Activities(world).all(),
            workflow_runner=UnsandboxedWorkflowRunner(),
        ):
            yield
