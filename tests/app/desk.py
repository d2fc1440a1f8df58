"""Plays an agent's playbook over its real tools, by its rules and labels: no server, no clock."""

import json
from dataclasses import dataclass, field

from mainspring import Agent, Context
from mainspring.core.canonical import Json
from mainspring.core.facts import Facts
from mainspring.core.flow import flow
from mainspring.core.messages import Message, ToolCall, finished_calls
from mainspring.core.playbook import Table
from mainspring.core.playbook import parse as parse_playbook
from mainspring.core.rule_file import assemble
from mainspring.core.rules import Judge
from mainspring.core.spec import AgentSpec
from mainspring.errors import ToolError


def table(agent: AgentSpec) -> Table:
    """The playbook of an agent."""
    return Table(parse_playbook(agent.playbook, agent.playbook_source), agent.tools, agent.result_schema, agent.name)


def judge(agent: AgentSpec) -> Judge:
    """The rules of an agent, with those that every agent has."""
    return Judge(assemble(agent.rule_texts), agent.tools, agent.name)


@dataclass
class Desk:
    """Carries out what a playbook asks for; `person` decides what the rules leave to a person."""

    agent: Agent
    person: str = ""
    """The reason to deny; empty to approve."""
    key: str = "key"
    """Begins the idempotency keys: each desk is another run."""
    rows: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """The rules that asked a person."""

    def answer(self, *messages: Message) -> str:
        """Drive the agent to its answer."""
        spec = self.agent.spec("playbook")
        playbook, rules = table(spec), judge(spec)
        for _ in range(10):
            reply = playbook.reply(messages)
            self.rows.append(reply.why[0].split("'")[1])
            if not reply.calls:
                return reply.text
            (call,) = reply.calls
            ended = self._judged(spec, rules, call, messages)
            messages = (*messages, Message(role="assistant", calls=reply.calls), ended)
        raise AssertionError(f"no answer after 10 steps: {self.rows}")

    def done(self, call: ToolCall) -> Json:
        """What the tool gives."""
        tool = next(each for each in self.agent.tools if each.name == call.name)
        context = Context("r", "a", f"{self.key}:{len(self.rows)}", "u", "t", self)  # type: ignore[arg-type]
        return tool.dump(tool.call(tool.parse(call.args), context))

    def _judged(self, spec: AgentSpec, rules: Judge, call: ToolCall, messages: tuple[Message, ...]) -> Message:
        """The call's end: refused by a rule or a person, or done."""
        tool = spec.tool(call.name)
        assert tool
        own = next((each for each in self.agent.tools if each.name == call.name), None)
        args = own.parse(call.args) if own else call.args
        facts = Facts(
            agent=spec.name,
            user="",
            tenant="",
            tool=call.name,
            effect=tool.effect,
            args=args,
            results=finished_calls(messages),
            flow=flow(spec, tool, args, messages),
        )
        judged = rules.judge("tool_call", facts)
        if judged.verdict == "ask":
            self.asked.append(judged.rule)
        refusal = {"deny": judged.reason, "ask": self.person}.get(judged.verdict, "")
        # The engine finds out what another agent's answer was made of; those here read nothing graver than the user.
        ended = Message(role="tool", call=call.id, tool=call.name, label="user" if tool.agent else "")
        if refusal:
            return ended.model_copy(update={"text": refusal, "status": "denied"})
        try:
            return ended.model_copy(update={"text": json.dumps(self.done(call))})
        except ToolError as error:
            return ended.model_copy(update={"text": str(error), "status": "error"})
