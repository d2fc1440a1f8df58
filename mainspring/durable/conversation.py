"""Workflow side. Holds one agent's thread: performs what the turn table commands, and feeds back what happened."""

import asyncio
from typing import cast

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from mainspring.contracts.carried import Held, Talk
from mainspring.contracts.steps import CallRef, CompactWork, ModelAnswer, ModelCall, Step, Stretch, Timing, ToolWork
from mainspring.core.canonical import Json, canonical, digest
from mainspring.core.labels import join, read_label
from mainspring.core.ledger import Entry, Head, advance
from mainspring.core.messages import Message, ToolCall
from mainspring.core.spec import PLAYBOOK, AgentSpec
from mainspring.core.turn import (
    AskPerson,
    Begin,
    Broke,
    CallModel,
    CallTool,
    CallVerdict,
    Command,
    Compact,
    Compacted,
    Decided,
    Event,
    Fail,
    Finish,
    Noted,
    Overflowed,
    Reopened,
    Replied,
    Returned,
    Turn,
    Uncertain,
    step,
    with_notes,
)
from mainspring.durable.failures import cause_of, failure, type_of
from mainspring.durable.running import Running

Performed = CallModel | Compact | CallTool | AskPerson


class Conversation:
    """One agent invocation. `thread` is the id of the step it is ("" for the run itself).

    Where the execution before had it under way, it goes on from there.
    """

    def __init__(self, run: Running, agent: AgentSpec, thread: str, node: str = "") -> None:
        """Begin with an empty thread, or with what was carried along."""
        self._run = run
        self._agent = agent
        self._node = node
        self._events: asyncio.Queue[tuple[Performed, Event | BaseException]] = asyncio.Queue()
        self._under_way: dict[str, Performed] = {}
        talk = run.restored.pop(thread, None)
        self._restored = tuple(_held(each) for each in talk.held) if talk else ()
        self._began = talk.began if talk else workflow.time_ns()
        self._calls: tuple[ToolCall, ...] = talk.calls if talk else ()
        self._turn = (
            talk.turn
            if talk
            else Turn(
                version=run.spec.turn,
                thread=thread,
                agent=agent.name,
                key=run.ref.key,
                policy=run.ref.spec,
                limit=agent.max_steps,
                head=Head(thread=thread),
                has_book=run.spec.turn > 1 and bool(agent.playbook) and agent.models[0] != PLAYBOOK,
            )
        )
        run.talks[thread] = self
        while run.notes:
            self.note(run.notes.pop(0))

    @property
    def head(self) -> Head:
        """The end of the thread."""
        return self._turn.head

    def carried(self) -> Talk:
        """The invocation as it stands now, for the next execution."""
        under_way = (*self._restored, *self._under_way.values())
        return Talk(
            turn=self._turn, calls=self._calls, held=tuple(_hold(each) for each in under_way), began=self._began
        )

    def note(self, text: str) -> None:
        """Have the model read this before its next message."""
        entry = self._run.entry(Message(role="note", text=text))
        self._turn, _ = step(self._turn, Noted(note=entry))

    async def hold(self, text: str, label: str = "") -> str:
        """Go on until the agent is done; its answer. `label` is that of the text, where it is not the user's own.

        Raises:
            ApplicationError: the run cannot go on.
        """
        try:
            return await self.exchange(text, label)
        finally:
            del self._run.talks[self._turn.thread]
            if self._turn.thread:
                timing = Timing(start=self._began, end=workflow.time_ns())
                self._run.agents.append(
                    Stretch(step=self._turn.thread, node=self._node, agent=self._agent.name, timing=timing)
                )

    async def exchange(self, text: str, label: str = "") -> str:
        """Answer one message of the user; what was under way in the execution before is ended instead.

        Raises:
            ApplicationError: the run cannot go on.
        """
        commands: tuple[Command, ...] = self._restored
        if commands:
            self._restored = ()
        else:
            new = (self._run.said(text, label),) if self._turn.head.count else self._run.opening(text, label)
            self._turn, commands = step(self._turn, Begin(new=new))
        tasks: list[asyncio.Task[None]] = []
        try:
            while True:
                local = self._all_local(commands)
                for command in commands:
                    if isinstance(command, Finish):
                        return command.text
                    if isinstance(command, Fail):
                        raise failure(command.kind, command.reason)
                    self._under_way[command.step] = command
                    tasks.append(asyncio.create_task(self._deliver(command, local=local)))
                commands = self._fold(*await self._events.get())
        finally:
            self._under_way.clear()
            for task in tasks:
                task.cancel()
            if tasks:  # a `once` call in flight is seen to its end, so that history tells how it ended
                await asyncio.gather(*tasks, return_exceptions=True)
            while not self._events.empty():
                self._remember(*self._events.get_nowait())

    def _fold(self, command: Performed, event: Event | BaseException) -> tuple[Command, ...]:
        self._leave(command)
        if isinstance(event, BaseException):
            raise event
        self._under_way.pop(command.step, None)
        if isinstance(event, Decided):
            self._run.approvals.told(event.step, cast("AskPerson", command).kind)
        self._turn, commands = step(self._turn, event)
        return commands

    def _remember(self, command: Performed, event: Event | BaseException) -> None:
        """A step that ended after the exchange had failed: nothing follows, but the next exchange knows of it."""
        self._leave(command)
        if isinstance(event, Returned | Broke):
            self._turn, _ = step(self._turn, event)

    def _leave(self, command: Performed) -> None:
        if self._passes_gate(command):
            self._run.traffic.leave()

    def _passes_gate(self, command: Performed) -> bool:
        """Whether the command is a step of its own; to ask a person or another agent is to wait."""
        return not isinstance(command, AskPerson) and not self._agent_behind(command)

    def _agent_behind(self, command: Performed) -> str:
        tool = self._agent.tool(command.permit.tool) if isinstance(command, CallTool) else None
        return tool.agent if tool else ""

    def _all_local(self, commands: tuple[Command, ...]) -> bool:
        """Whether all calls of a message may be local activities: beside an ordinary one, none gains by it."""
        tools = [self._agent.tool(each.permit.tool) for each in commands if isinstance(each, CallTool)]
        return len(tools) == len(commands) and all(tool and self._run.is_local(self._agent, tool) for tool in tools)

    async def _deliver(self, command: Performed, *, local: bool) -> None:
        if self._passes_gate(command):
            await self._run.traffic.enter()
            command = self._as_it_begins(command)
        try:
            event: Event | BaseException = await self._perform(command, local=local)
        except Exception as error:  # noqa: BLE001 - it is raised again where the thread is held
            event = error
        except BaseException:
            self._leave(command)
            raise
        self._events.put_nowait((command, event))

    def _as_it_begins(self, command: Performed) -> Performed:
        """The command after it waited at the gate: a person may have added a note meanwhile."""
        if isinstance(command, CallModel) and self._turn.notes:
            self._turn, command = with_notes(self._turn, command)
            self._under_way[command.step] = command
        return command

    async def _perform(self, command: Performed, *, local: bool) -> Event:
        if isinstance(command, CallModel):
            return await self._call_model(command)
        if isinstance(command, CallTool):
            return await self._call_tool(command, local=local)
        if isinstance(command, Compact):
            return await self._compact(command)
        return await self._ask(command)

    async def _call_model(self, command: CallModel) -> Event:
        judge = not self._turn.thread and self._run.given.input is None
        call = ModelCall(
            step=self._step(command.step),
            head=command.head,
            new=command.new,
            judge=judge,
            by_book=command.by_book,
        )
        answer = await self._run.call_model(self._agent, call)
        if answer.refusal:
            raise failure("Refused", f"The rule {answer.rule!r} refused the input: {answer.refusal}")
        if answer.overflow or answer.item is None:
            return Overflowed()
        message = Message.model_validate_json(answer.item.text)
        self._calls = message.calls
        return Replied(
            digest=answer.item.digest,
            head=advance(command.head, (*(entry.digest for entry in command.new), answer.item.digest)),
            text=message.text,
            verdicts=self._verdicts(answer, message),
            problem=answer.problem,
            review=answer.review,
        )

    def _verdicts(self, answer: ModelAnswer, message: Message) -> tuple[CallVerdict, ...]:
        """The verdicts with what the recorded ones leave out, because the calls say it."""
        return tuple(
            verdict
            if verdict.tool
            else verdict.model_copy(
                update={
                    "id": call.id,
                    "tool": call.name,
                    "args_digest": digest(canonical(call.args), self._run.ref.key),
                }
            )
            for call, verdict in zip(message.calls, answer.verdicts, strict=True)
        )

    async def _compact(self, command: Compact) -> Event:
        work = CompactWork(step=self._step(command.step), head=command.head, new=command.new)
        made = await self._run.compact(self._agent, work)
        return Compacted(head=advance(made.link.before, made.link.appended))

    async def _call_tool(self, command: CallTool, *, local: bool) -> Event:
        tool = self._agent.tool(command.permit.tool)
        if tool is None:
            return Broke(step=command.step, error=f"There is no tool {command.permit.tool!r}.")
        if tool.agent:
            return await self._ask_agent(command, tool.agent)
        work = ToolWork(
            step=self._step(command.step),
            tool=tool.name,
            head=command.head,
            call=CallRef(message=command.message, index=command.index),
            permit=command.permit,
        )
        try:
            outcome = await self._run.call_tool(tool, work, local=local)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            if tool.effect == "once" and type_of(error) != "NotDone":
                return Uncertain(step=command.step, error=cause_of(error))
            return Broke(step=command.step, error=f"{tool.name} failed: {cause_of(error)}")
        if outcome.ask:
            return Reopened(step=command.step, verdict=outcome.ask)
        item = outcome.item
        return Returned(step=command.step, answer=Entry(digest=item.digest if item else ""))

    async def _ask_agent(self, command: CallTool, name: str) -> Event:
        """Run the agent that is this tool: in this run, with its own rules and its own thread."""
        call = self._calls[command.index]
        nested = Conversation(self._run, self._run.spec.agent(name), command.step, self._node)
        label = next(each.verdict.label for each in self._turn.calls if each.step == command.step)
        asked = call.args if command.permit.args is None else command.permit.args
        answer = await nested.hold(str(asked["request"]), label)
        text = answer if self._run.spec.agent(name).result_schema else canonical(answer)
        message = Message(role="tool", text=text, call=call.id, tool=call.name, label=self._label_of(call, label))
        return Returned(step=command.step, answer=self._run.entry(message))

    def _label_of(self, call: ToolCall, asked: str) -> str:
        """The label of another agent's answer, where what it was asked makes that graver than it always is."""
        tool = self._agent.tool(call.name)
        return str(join((read_label(tool.returns), read_label(asked)))) if tool and asked else ""

    async def _ask(self, command: AskPerson) -> Event:
        args: dict[str, Json] = {"answer": self._turn.answer}
        if command.kind != "review":
            edited = next(each.args for each in self._turn.calls if each.step == command.step)
            args = dict(self._calls[command.index].args if edited is None else edited)
        decision = await self._run.approvals.ask(
            command.kind, self._agent, command.step, command.verdict, args, command.reason, editable=True
        )
        return Decided(step=command.step, decision=decision)

    def _step(self, name: str) -> Step:
        return Step(id=name, agent=self._agent.name, node=self._node)


def _hold(command: Performed) -> Held:
    if isinstance(command, CallModel):
        return Held(model=command)
    if isinstance(command, Compact):
        return Held(compact=command)
    return Held(tool=command) if isinstance(command, CallTool) else Held(ask=command)


def _held(held: Held) -> Performed:
    return cast("Performed", held.model or held.compact or held.tool or held.ask)
