"""What an author writes: `Agent`, `Graph`, and the two verbs of graph nodes, `ask` and `use`.

Definitions are checked when they are made, that is at import: a wrong one stops the worker with the
agent's name and the fix. Files (instructions, rules, playbook) are read then too, once.
"""

import inspect
import re
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, Protocol, cast, get_args

from pydantic import BaseModel, ValidationError
from typing_extensions import TypeVar

from mainspring.core import base_rules
from mainspring.core.canonical import Json
from mainspring.core.labels import FROM_USER, Label, join, read_label
from mainspring.core.playbook import Table
from mainspring.core.playbook import parse as parse_playbook
from mainspring.core.rules import EMPTY, Judge, Policy
from mainspring.core.rules import parse as parse_rules
from mainspring.core.spec import AgentSpec, Mode, Shortening, ToolSpec
from mainspring.core.tool import Context, Tool, check_label, in_words, tool
from mainspring.errors import DefinitionError, ToolError

NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
MODEL = re.compile(r"playbook|[a-z][a-z0-9_-]*:\S+")
ResultT = TypeVar("ResultT", default=str)


class Agent(Generic[ResultT]):
    """A model with instructions, tools and rules; a workflow type under its own name.

    Args:
        name: the workflow type; a-z, 0-9 and `-`. As another agent's tool: the same with `_`.
        instructions: text, or the path of a Markdown file.
        tools: functions made with `@tool`, and other agents.
        rules: path of a rule file. Without one, every `once` tool asks a person.
        playbook: path of the playbook that the model `playbook` follows.
        result: a pydantic model the answer must fit; default: plain text.
        description: what another agent reads to know when to ask this one.
        model: `provider:name`, or `playbook`; default: the worker's.
        max_steps: how many model replies one invocation may take.
        model_timeout: how long one attempt at a reply may take.
        mode: `step`: every call is an activity, and nothing that finished is lost in a crash. `turn`: `read` tools
            are local activities; the last turn's reads may be repeated. `fast`: model calls too; at most a second
            or two of repeatable work is repeated.
        context: how many tokens the model may be given; default: as many as its context window has.
        shorten: what happens to a thread that outgrows this: `trim` leaves the oldest out, `summarise` has the
            model summarise it.
        input: how far what the run is started with may be trusted, and who may see it. Default: `user`; `external`
            where it is a mail, a ticket or a page that anybody may have written.

    Paths are relative to the project root (searched upwards from the defining file).

    Raises:
        DefinitionError: the definition is wrong; it names the agent and the fix.
        PolicyError: a rule or playbook is wrong; it names file and line.
    """

    def __init__(
        self,
        name: str,
        *,
        instructions: str | Path,
        tools: Sequence["Tool | Agent[Any]"] = (),
        rules: str | Path = "",
        playbook: str | Path = "",
        result: type[ResultT] | None = None,
        description: str = "",
        model: str = "",
        max_steps: int = 20,
        model_timeout: timedelta = timedelta(minutes=2),
        mode: Mode = "turn",
        context: int = 0,
        shorten: Shortening = "trim",
        input: str = "user",  # noqa: A002 - as a run's input is named everywhere
    ) -> None:
        """Read the files, check everything against everything."""
        near = _place_of_caller()
        self.name = _checked_name(name, "agent")
        _check_numbers(name, model, max_steps, model_timeout)
        _check_choices(name, mode, context, shorten, input)
        self.model = model
        self.result = result
        self.agents = tuple(t for t in tools if isinstance(t, Agent))
        self.tools = tuple(t for t in tools if isinstance(t, Tool))
        _check_tools(f"agent {name!r}", tools)
        text = _read(instructions, near, f"agent {name!r}") if _is_file(instructions) else str(instructions)
        if not text.strip():
            raise DefinitionError(f"agent {name!r} has no instructions. Say in a sentence what it is for.")
        if result is not None and not _is_model(result):
            raise DefinitionError(f"agent {name!r}: result is {result!r}; it must be a pydantic model.")
        rule_text, playbook_text = (_read(p, near, f"agent {name!r}") if p else "" for p in (rules, playbook))
        policy = parse_rules(rule_text, str(rules)) if rules else EMPTY
        self._spec = AgentSpec(
            name=name,
            description=description,
            instructions=text,
            models=(model,) if model else (),
            tools=tuple(_tool_spec(t) for t in tools),
            rules=rule_text,
            rules_source=str(rules),
            deadline=policy.deadline,
            deny_reasons=policy.deny_reasons,
            playbook=playbook_text,
            playbook_source=str(playbook),
            result_schema=cast("type[BaseModel]", result).model_json_schema() if result else None,
            max_steps=max_steps,
            model_timeout=model_timeout.total_seconds(),
            mode=mode,
            context=context,
            shorten=shorten,
            base=base_rules.TEXT,
            input=input,
        )
        Judge(policy, self._spec.tools, name)
        if playbook:
            Table(parse_playbook(playbook_text, str(playbook)), self._spec.tools, self._spec.result_schema, name)

    def spec(self, default_model: str) -> AgentSpec:
        """The frozen definition, with the worker's model where the agent names none."""
        return self._spec if self.model else self._spec.model_copy(update={"models": (default_model,)})

    def reach(self) -> Iterable["Agent[Any]"]:
        """This agent and every agent it can call, depth first."""
        yield self
        for agent in self.agents:
            yield from agent.reach()


class Graph:
    """A LangGraph `StateGraph` as a workflow type; its nodes run in the workflow and are replayed.

    Nodes are functions of the state, sync or async; they do I/O only through `ask` (an agent) and
    `use` (a tool). The state starts as `{"input", "user", "tenant"}` of the run's input (as far as the
    state has these keys); its key `answer` becomes the run's answer, the rest its result.

    Args:
        name: the workflow type.
        graph: the `StateGraph`, not compiled.
        agents: every agent that a node asks.
        tools: every tool that a node uses itself.
        rules: path of the rule file for these tools.

    Raises:
        DefinitionError: the definition is wrong; it names the graph and the fix.
        PolicyError: a rule is wrong; it names file and line.
    """

    def __init__(
        self,
        name: str,
        graph: Any,
        *,
        agents: Sequence[Agent[Any]] = (),
        tools: Sequence[Tool] = (),
        rules: str | Path = "",
    ) -> None:
        """Read the rule file and check the parts."""
        near = _place_of_caller()
        self.name = _checked_name(name, "graph")
        if not hasattr(graph, "compile"):
            raise DefinitionError(f"graph {name!r} is given {type(graph).__name__}; pass the StateGraph, not compiled.")
        for node, spec in graph.nodes.items():
            if not (getattr(spec.runnable, "func", None) or getattr(spec.runnable, "afunc", None)):
                raise DefinitionError(f"graph {name!r}: node {node!r} is no function; write one that calls ask or use.")
        try:
            graph.compile()  # what LangGraph finds wrong (an edge to nowhere, no start) is found now, not in a run
        except ValueError as error:
            raise DefinitionError(f"graph {name!r}: {error}") from None
        self.graph = graph
        self.agents = tuple(agents)
        self.tools = tuple(tools)
        _check_tools(f"graph {name!r}", tools)
        text = _read(rules, near, f"graph {name!r}") if rules else ""
        policy: Policy = parse_rules(text, str(rules)) if rules else EMPTY
        made_of = join((FROM_USER, *(label for agent in agents for label in _labels(agent)), *_returned(tools)))
        self._spec = AgentSpec(
            name=name,
            instructions="",
            models=(),
            tools=tuple(t.spec for t in tools),
            rules=text,
            rules_source=str(rules),
            deadline=policy.deadline,
            deny_reasons=policy.deny_reasons,
            base=base_rules.TEXT,
            input="" if made_of == FROM_USER else str(made_of),
        )
        Judge(policy, self._spec.tools, name)

    def spec(self) -> AgentSpec:
        """The graph's own tools and rules, in the shape of an agent without a model."""
        return self._spec

    def reach(self) -> Iterable[Agent[Any]]:
        """Every agent that a run of this graph can come to."""
        for agent in self.agents:
            yield from agent.reach()


class Stage(Protocol):
    """What a running graph offers its nodes; the workflow side sets it."""

    async def ask(self, agent: str, text: str) -> str:
        """Run an agent of the graph on `text`; its answer."""
        ...

    async def use(self, tool: str, args: dict[str, Json]) -> Json:
        """Run a tool of the graph through the gate; its JSON result."""
        ...


STAGE: ContextVar[Stage] = ContextVar("mainspring_stage")


async def ask(agent: Agent[ResultT], text: str) -> ResultT:
    """In a graph node: let an agent work on `text`; gives its typed result (its text, without a type).

    Raises:
        DefinitionError: called outside a graph's node.
    """
    answer = await _stage("ask").ask(agent.name, text)
    if agent.result is None:
        return cast("ResultT", answer)
    return cast("ResultT", cast("type[BaseModel]", agent.result).model_validate_json(answer))


async def use(tool: Tool, **args: Json) -> Any:
    """In a graph node: use a tool, through the same rules and approvals; gives its JSON result.

    Raises:
        ToolError: the arguments do not fit, it was denied, or it failed in a way the tool expects.
        DefinitionError: called outside a graph's node.
    """
    stage = _stage("use")
    try:
        return await stage.use(tool.name, tool.parse(args))
    except ValidationError as error:
        raise ToolError(f"use({tool.name}): the arguments do not fit: {in_words(error)}") from None


@tool(effect="idempotent", returns="trusted", accepts="external")
async def remember(note: str, context: Context) -> str:
    """Keep a short note about this user for later runs. Never personal data.

    Args:
        note: one sentence, such as "Was refunded for a damaged item".
        context: what the engine knows of the run.
    """
    await context.remember(note)
    return "noted"


def _place_of_caller() -> Path:
    """The folder of the module that makes the definition."""
    return Path(inspect.stack(0)[2].filename).parent


def _stage(verb: str) -> Stage:
    try:
        return STAGE.get()
    except LookupError:
        raise DefinitionError(f"{verb}() works only inside a node of a running Graph.") from None


def _checked_name(name: str, kind: str) -> str:
    if not NAME.fullmatch(name):
        raise DefinitionError(f"{kind} {name!r}: a name has a-z, 0-9 and '-', begins with a letter, at most 64.")
    return name


def _is_model(result: object) -> bool:
    return isinstance(result, type) and issubclass(result, BaseModel)


def _check_numbers(name: str, model: str, max_steps: int, model_timeout: timedelta) -> None:
    if max_steps < 1:
        raise DefinitionError(f"agent {name!r}: max_steps is {max_steps}; an agent needs at least one reply.")
    if model_timeout <= timedelta(0):
        raise DefinitionError(f"agent {name!r}: model_timeout is {model_timeout}; it must be longer than nothing.")
    if model and not MODEL.fullmatch(model):
        raise DefinitionError(f"agent {name!r}: model is {model!r}; it must be 'playbook' or 'provider:name'.")


def _check_choices(name: str, mode: str, context: int, shorten: str, label: str) -> None:
    check_label(f"agent {name!r}", "input", label)
    for what, value, choices in (("mode", mode, get_args(Mode)), ("shorten", shorten, get_args(Shortening))):
        if value not in choices:
            right = ", ".join(repr(each) for each in choices)
            raise DefinitionError(f"agent {name!r}: {what} is {value!r}; it must be one of {right}.")
    if context < 0:
        raise DefinitionError(f"agent {name!r}: context is {context}; it must be a number of tokens, or 0.")


def _check_tools(owner: str, tools: Sequence[object]) -> None:
    seen: set[str] = set()
    for each in tools:
        if not isinstance(each, Tool | Agent):
            raise DefinitionError(f"{owner}: {each!r} is no tool. Put @tool(effect=…) on the function.")
        name = _tool_spec(cast("Tool | Agent[Any]", each)).name
        if name in seen:
            raise DefinitionError(f"{owner} has two tools named {name!r}. Rename one: @tool(effect=…, name=…).")
        seen.add(name)
        if isinstance(each, Agent) and not cast("Agent[Any]", each).spec("").description:
            raise DefinitionError(
                f"{owner} uses an agent as the tool {name!r}, but that has no description to choose it by. "
                f"Write Agent(…, description=…)."
            )


def _tool_spec(each: Tool | Agent[Any]) -> ToolSpec:
    if isinstance(each, Tool):
        return each.spec
    spec = each.spec("")
    return ToolSpec(
        name=each.name.replace("-", "_"),
        description=spec.description or each.name,
        input_schema={
            "type": "object",
            "properties": {"request": {"type": "string", "description": "What you want of it, in words."}},
            "required": ["request"],
            "additionalProperties": False,
        },
        result_schema=spec.result_schema or {"type": "string"},
        effect="read",
        agent=each.name,
        returns=str(join(_labels(each))),
        accepts="external",
    )


def _labels(agent: Agent[Any]) -> Iterable[Label]:
    """Of everything that an agent may read, or an agent that it asks."""
    for each in agent.reach():
        yield read_label(each.spec("").input)
        yield from _returned(each.tools)


def _returned(tools: Iterable[Tool]) -> Iterable[Label]:
    return (read_label(tool.spec.returns) for tool in tools)


def _is_file(text: str | Path) -> bool:
    return isinstance(text, Path) or (text.endswith(".md") and "\n" not in text)


def _read(path: str | Path, near: Path, owner: str) -> str:
    tried = [folder / path for folder in (near, *near.parents)]
    for place in tried:
        if place.is_file():
            return place.read_text(encoding="utf-8")
    raise DefinitionError(f"{owner}: there is no file {str(path)!r} in {near} or any folder above it.")
