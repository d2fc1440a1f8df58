"""A model that says what a test wrote down: the model port without a key, a network or chance.

    ScriptedModel(call("find_order", order=1042), say("It was delivered on Monday."))
    ScriptedModel({"triage": [say("refund")], "refund-agent": [call("issue_refund", order=1042), say("Done.")]})

Test side only. Which step comes next is read from the thread (how often the agent has spoken in it),
never counted: a repeated attempt, a replay and another worker all get the same step.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from mainspring.core.canonical import Json, Value, canonical, digest
from mainspring.core.messages import ToolCall, count_replies
from mainspring.errors import ModelError, did_you_mean
from mainspring.ports.model import Model, ModelReply, ModelRequest


class Say(Value):
    """The model answers with this text."""

    text: str


class Call(Value):
    """The model asks for one tool call."""

    tool: str
    args: dict[str, Json]


class Calls(Value):
    """The model asks for several tool calls in one message, in this order."""

    calls: tuple[Call, ...]


class Fail(Value):
    """The first `times` attempts at the step that follows fail with this error."""

    message: str
    retryable: bool
    retry_after: float | None
    times: int


@dataclass(frozen=True)
class Delay:
    """The model takes this long (seconds), then does `step`."""

    seconds: float
    step: "Step"


Step = Say | Call | Calls | Fail | Delay | Callable[[ModelRequest], "Step"]


def say(text: str | Mapping[str, Json]) -> Say:
    """Answer with a text, or with a JSON object where the agent has a result type."""
    return Say(text=text if isinstance(text, str) else json.dumps(dict(text), ensure_ascii=False))


def call(tool: str, /, **args: Json) -> Call:
    """Ask for one tool call."""
    return Call(tool=tool, args=args)


def calls(*asked: Call) -> Calls:
    """Ask for several tool calls in one message."""
    return Calls(calls=asked)


def fail(message: str, *, retryable: bool = True, retry_after: float | None = None, times: int = 1) -> Fail:
    """Fail the first `times` attempts at the step that follows in the script.

    Args:
        message: what the error says.
        retryable: whether another attempt can help, as the engine is told.
        retry_after: seconds the provider asks to wait.
        times: how many attempts fail; after them the following step is done.
    """
    return Fail(message=message, retryable=retryable, retry_after=retry_after, times=times)


def delay(seconds: float, step: Step) -> Delay:
    """Take this long before doing `step`."""
    return Delay(seconds=seconds, step=step)


class ScriptedModel(Model):
    """Does the steps it was given, one per message it has to say.

    A step is made by `say`, `call`, `calls`, `fail` or `delay`, or is a function that is given the
    `ModelRequest` and returns such a step. Scripts of several agents go in one mapping, by agent name.
    `requests` keeps everything that was asked, failed attempts too, oldest first.

    Attempts that `fail` counts are kept in this object, apart by agent and thread content.
    """

    def __init__(self, *steps: Step | Mapping[str, Sequence[Step]]) -> None:
        self.requests: list[ModelRequest] = []
        self._scripts: dict[str, Sequence[Step]] = {}
        self._script: Sequence[Step] | None = None
        self._attempts: dict[str, int] = {}
        if len(steps) == 1 and isinstance(steps[0], Mapping):
            self._scripts = dict(cast("Mapping[str, Sequence[Step]]", steps[0]))
        else:
            self._script = cast("Sequence[Step]", steps)

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Do the step that this thread has reached.

        Raises:
            ModelError: the script says so, has no step left, or there is none for this agent.
        """
        self.requests.append(request)
        failures, step = self._at(request)
        attempt = self._count(request)
        for failure in failures:
            if attempt < failure.times:
                raise ModelError(failure.message, retryable=failure.retryable, retry_after=failure.retry_after)
            attempt -= failure.times
        if step is None:
            raise self._over(request)
        return await self._do(step, request)

    async def _do(self, step: Step, request: ModelRequest) -> ModelReply:
        if isinstance(step, Delay):
            await asyncio.sleep(step.seconds)
            return await self._do(step.step, request)
        if isinstance(step, Fail):
            raise ModelError(step.message, retryable=step.retryable, retry_after=step.retry_after)
        if isinstance(step, Say):
            return ModelReply(text=step.text, model="scripted", provider="scripted")
        if isinstance(step, Call | Calls):
            asked = (step,) if isinstance(step, Call) else step.calls
            made = tuple(ToolCall(id=f"call_{n}", name=one.tool, args=one.args) for n, one in enumerate(asked, 1))
            return ModelReply(calls=made, model="scripted", provider="scripted")
        return await self._do(step(request), request)

    def _at(self, request: ModelRequest) -> tuple[tuple[Fail, ...], Step | None]:
        """The step of this thread, and the failures written before it."""
        spoken = count_replies(request.messages)
        failures: list[Fail] = []
        for step in self._of(request.agent):
            if isinstance(step, Fail):
                failures.append(step)
            elif spoken:
                spoken -= 1
                failures.clear()
            else:
                return tuple(failures), step
        return (() if spoken else tuple(failures)), None

    def _of(self, agent: str) -> Sequence[Step]:
        if self._script is not None:
            return self._script
        if agent not in self._scripts:
            hint = did_you_mean(agent, self._scripts)
            raise ModelError(f"the scripted model has no script for agent {agent!r}.{hint}", retryable=False)
        return self._scripts[agent]

    def _count(self, request: ModelRequest) -> int:
        """How often this very step was asked for before."""
        thread = digest(canonical([request.agent, [m.model_dump(mode="json") for m in request.messages]]))
        self._attempts[thread] = self._attempts.get(thread, -1) + 1
        return self._attempts[thread]

    def _over(self, request: ModelRequest) -> ModelError:
        spoken = count_replies(request.messages)
        newest = request.messages[-1].role if request.messages else "nothing"
        return ModelError(
            f"the script of agent {request.agent!r} is over: it has no step {spoken + 1}, which the run asks for "
            f"(newest message: {newest}). Add the step, or see why the run goes on.",
            retryable=False,
        )
