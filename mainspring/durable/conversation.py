"""Workflow side. Holds one agent's thread: performs what the turn table commands, and feeds back what happened."""

import asyncio
from typing import cast

from temporalio.exceptions import ActivityError, is_cancelled_exception

from mainspring.contracts.steps import CallRef, ModelCall, Step, ToolWork
from mainspring.core.canonical import Json, canonical
from mainspring.core.ledger import Entry, Head, advance, make_item
from mainspring.core.messages import Message, ToolCall
from mainspring.core.spec import AgentSpec
from mainspring.core.turn import (
    AskPerson,
    Begin,
    Broke,
    CallModel,
    CallTool,
    Command,
    Decided,
    Event,
    Fail,
    Finish,
    Replied,
    Returned,
    Turn,
    Uncertain,
    step,
)
from mainspring.durable.failures import cause_of, failure, type_of
from mainspring.durable.running import Running


class Conversation:
    """One agent invocation. `thread` is the id of the step it is ("" for the run itself)."""

    def __init__(self, run: Running, agent: AgentSpec, thread: str, node: str = "") -> None:
        """Begin with an empty thread."""
        self._run = run
        self._agent = agent
        self._node = node
        self._calls: tuple[ToolCall, ...] = ()
        self._turn = Turn(
            version=run.spec.turn,
            thread=thread,
            agent=agent.name,
            key=run.ref.key,
            policy=run.ref.spec,
            limit=agent.max_steps,
            head=Head(thread=thread),
        )

    async def hold(self, text: str) -> str:
        """Go on until the agent is done; its answer.

        Raises:
            ApplicationError: the run cannot go on.
        """
        events: asyncio.Queue[Event | BaseException] = asyncio.Queue()
        tasks: list[asyncio.Task[None]] = []
        event: Event | BaseException = Begin(new=self._run.opening(text))
        try:
            while True:
                if isinstance(event, BaseException):
                    raise event
                self._turn, commands = step(self._turn, event)
                for command in commands:
                    if isinstance(command, Finish):
                        return command.text
                    if isinstance(command, Fail):
                        raise failure(command.kind, command.reason)
                    tasks.append(asyncio.create_task(self._deliver(command, events)))
                event = await events.get()
        finally:
            for task in tasks:
                task.cancel()
            if tasks:  # a `once` call in flight is seen to its end, so that history tells how it ended
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, command: Command, events: "asyncio.Queue[Event | BaseException]") -> None:
        try:
            event = await self._perform(command)
        except Exception as error:  # noqa: BLE001 - it is raised again where the thread is held
            event = error
        events.put_nowait(event)

    async def _perform(self, command: Command) -> Event:
        if isinstance(command, CallModel):
            return await self._call_model(command)
        if isinstance(command, CallTool):
            return await self._call_tool(command)
        return await self._ask(cast("AskPerson", command))

    async def _call_model(self, command: CallModel) -> Event:
        call = ModelCall(run=self._run.ref, step=self._step(command.step), head=command.head, new=command.new)
        answer = await self._run.call_model(self._agent, call)
        message = Message.model_validate_json(answer.item.text)
        self._calls = message.calls
        return Replied(
            digest=answer.item.digest,
            head=advance(command.head, answer.link.appended),
            text=message.text,
            verdicts=answer.verdicts,
            problem=answer.problem,
        )

    async def _call_tool(self, command: CallTool) -> Event:
        tool = self._agent.tool(command.permit.tool)
        if tool is None:
            return Broke(step=command.step, error=f"There is no tool {command.permit.tool!r}.")
        if tool.agent:
            return await self._ask_agent(command, tool.agent)
        work = ToolWork(
            run=self._run.ref,
            step=self._step(command.step),
            tool=tool.name,
            head=command.head,
            call=CallRef(message=command.message, index=command.index),
            permit=command.permit,
        )
        try:
            outcome = await self._run.call_tool(tool, work)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            if tool.effect == "once" and type_of(error) != "NotDone":
                return Uncertain(step=command.step, error=cause_of(error))
            return Broke(step=command.step, error=f"{tool.name} failed: {cause_of(error)}")
        item = outcome.item
        return Returned(step=command.step, answer=Entry(digest=item.digest if item else ""))

    async def _ask_agent(self, command: CallTool, name: str) -> Event:
        """Run the agent that is this tool: in this run, with its own rules and its own thread."""
        call = self._calls[command.index]
        nested = Conversation(self._run, self._run.spec.agent(name), command.step, self._node)
        answer = await nested.hold(str(call.args["request"]))
        text = answer if self._run.spec.agent(name).result_schema else canonical(answer)
        message = Message(role="tool", text=text, call=call.id, tool=call.name)
        item = make_item(message, self._run.ref.key)
        return Returned(step=command.step, answer=Entry(digest=item.digest, text=item.text))

    async def _ask(self, command: AskPerson) -> Event:
        args: dict[str, Json] = dict(self._calls[command.index].args)
        decision = await self._run.approvals.ask(
            command.kind, self._agent, command.step, command.verdict, args, command.reason
        )
        return Decided(step=command.step, decision=decision)

    def _step(self, name: str) -> Step:
        return Step(id=name, agent=self._agent.name, node=self._node)
