"""What an author writes: `Agent`, `Graph`, and the two verbs of graph nodes, `ask` and `use`.

Definitions are checked when they are made, that is at import: a wrong one stops the worker with the
agent's name and the fix. Files (instructions, rules, playbook) are read then too, once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, Protocol, cast

from pydantic import BaseModel, ValidationError
from typing_extensions import TypeVar

from mainspring.core.canonical import Json
from mainspring.core.facts import Facts
from mainspring.core.labels import FROM_USER, Label, join, read_label
from mainspring.core.playbook import Table
from mainspring.core.playbook import parse as parse_playbook
from mainspring.core.routes import People
from mainspring.core.spec import AgentSpec, Mode, Shortening, ToolSpec
from mainspring.core.tool import Context, Tool, in_words, tool
from mainspring.definitions.checking import check_choices, check_numbers, checked_name, checked_returns, is_model
from mainspring.definitions.files import is_file, place_of_caller, read
from mainspring.definitions.rule_files import RuleFiles
from mainspring.errors import DefinitionError, ToolError, did_you_mean

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
        max_steps: how many model replies one invocation may take; with a playbook beside the model, as many of its own
            after them.
        model_timeout: how long one attempt at a reply may take.
        mode: `step`: every call is an activity, and nothing that finished is lost in a crash. `turn`: `read` tools
            are local activities; the last turn's reads may be repeated. `fast`: model calls too; at most a second
            or two of repeatable work is repeated.
        context: how many tokens the model may be given; default: as many as its context window has.
        shorten: what happens to a thread that outgrows this: `trim` leaves the oldest out, `summarise` has the
            model summarise it.
        input: how far what the run is started with may be trusted, and who may see it. Default: `user`; `external`
            where it is a mail, a ticket or a page that anybody may have written.
        returns: how far its answers may be trusted, where another agent asks it. Default: as far as the worst that it
            may read. Another label only for a quarantined reader: an agent without tools, whose `result` has no free
            text.
        cleared: how secret what its models read may be, such as `internal`; default: anything.
        checks: Python functions that its rules name: each takes `Facts`, and says whether the rule matches.

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
        returns: str = "",
        cleared: str = "",
        checks: Sequence[Callable[[Facts], Any]] = (),
    ) -> None:
        """Read the files, check everything against everything."""
        near = place_of_caller()
        self.name = checked_name(name, "agent")
        check_numbers(name, model, max_steps, model_timeout)
        check_choices(name, mode, context, shorten, input, cleared)
        self.model = model
        self.result = result
        self.agents = tuple(t for t in tools if isinstance(t, Agent))
        self.tools = tuple(t for t in tools if isinstance(t, Tool))
        _check_tools(f"agent {name!r}", tools)
        text = read(instructions, near, f"agent {name!r}") if is_file(instructions) else str(instructions)
        if not text.strip():
            raise DefinitionError(f"agent {name!r} has no instructions. Say in a sentence what it is for.")
        if result is not None and not is_model(result):
            raise DefinitionError(f"agent {name!r}: result is {result!r}; it must be a pydantic model.")
        playbook_text = read(playbook, near, f"agent {name!r}") if playbook else ""
        self._rules = RuleFiles(rules, near, f"agent {name!r}", checks)
        self.returns = checked_returns(name, returns, bool(tools), result)
        self._spec = AgentSpec(
            name=name,
            description=description,
            instructions=text,
            models=(model,) if model else (),
            tools=tuple(_tool_spec(t) for t in tools),
            **self._rules.fields,
            playbook=playbook_text,
            playbook_source=str(playbook),
            result_schema=cast("type[BaseModel]", result).model_json_schema() if result else None,
            max_steps=max_steps,
            model_timeout=model_timeout.total_seconds(),
            mode=mode,
            context=context,
            shorten=shorten,
            input=input,
            cleared=cleared,
        )
        self._rules.check(self._spec)
        if playbook:
            Table(parse_playbook(playbook_text, str(playbook)), self._spec.tools, self._spec.result_schema, name)

    @property
    def checks(self) -> Mapping[str, Callable[[Facts], Any]]:
        """The Python functions that its rules may name."""
        return self._rules.checks

    def spec(self, default_model: str, tenant: str = "") -> AgentSpec:
        """The frozen definition, with the worker's model where the agent names none, and a tenant's own rules."""
        spec = self._rules.for_tenant(self._spec, tenant)
        return spec if self.model else spec.model_copy(update={"models": (default_model,)})

    @property
    def people(self) -> People:
        """Who belongs to which group, and who decides for whom, as its rule files say now."""
        return self._rules.people

    def tenants(self) -> Iterable[str]:
        """The tenants that have rules of their own."""
        return self._rules.tenants

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
        checks: Python functions that its rules name.
        review: nodes whose result a person looks at, and may change, before the graph goes on with it.

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
        checks: Sequence[Callable[[Facts], Any]] = (),
        review: Sequence[str] = (),
    ) -> None:
        """Read the rule file and check the parts."""
        near = place_of_caller()
        self.name = checked_name(name, "graph")
        if not hasattr(graph, "compile"):
            raise DefinitionError(f"graph {name!r} is given {type(graph).__name__}; pass the StateGraph, not compiled.")
        if not getattr(graph.state_schema, "__annotations__", None):
            raise DefinitionError(f"graph {name!r}: its state has no named fields; make it a TypedDict, for instance.")
        for node, spec in graph.nodes.items():
            if not (getattr(spec.runnable, "func", None) or getattr(spec.runnable, "afunc", None)):
                raise DefinitionError(f"graph {name!r}: node {node!r} is no function; write one that calls ask or use.")
        try:
            graph.compile()  # what LangGraph finds wrong (an edge to nowhere, no start) is found now, not in a run
        except ValueError as error:
            raise DefinitionError(f"graph {name!r}: {error}") from None
        for node in review:
            if node not in graph.nodes:
                raise DefinitionError(f"graph {name!r}: there is no node {node!r}.{did_you_mean(node, graph.nodes)}")
        self.graph = graph
        self.review = frozenset(review)
        self.agents = tuple(agents)
        self.tools = tuple(tools)
        _check_tools(f"graph {name!r}", tools)
        self._rules = RuleFiles(rules, near, f"graph {name!r}", checks)
        made_of = join((FROM_USER, *(label for agent in agents for label in _labels(agent)), *_returned(tools)))
        self._spec = AgentSpec(
            name=name,
            instructions="",
            models=(),
            tools=tuple(t.spec for t in tools),
            **self._rules.fields,
            input="" if made_of == FROM_USER else str(made_of),
        )
        self._rules.check(self._spec)

    @property
    def checks(self) -> Mapping[str, Callable[[Facts], Any]]:
        """The Python functions that its rules may name."""
        return self._rules.checks

    def spec(self, tenant: str = "") -> AgentSpec:
        """The graph's own tools and rules, in the shape of an agent without a model, with a tenant's own rules."""
        return self._rules.for_tenant(self._spec, tenant)

    @property
    def people(self) -> People:
        """Who belongs to which group, and who decides for whom, as its rule files say now."""
        return self._rules.people

    def tenants(self) -> Iterable[str]:
        """The tenants that have rules of their own."""
        return self._rules.tenants

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


@tool(effect="read", name="ask_human", returns="trusted", accepts="external")
async def _ask_human(question: str, choices: list[str] | None = None) -> str:  # noqa: ARG001 - a person reads them
    """Ask a person at the desk, and wait for their answer. For what no tool and no text tells you.

    Args:
        question: one question that can be answered in a few words.
        choices: the answers to choose from, if there are only some.
    """
    raise ToolError("Only a person answers this.")


ask_human = replace(_ask_human, spec=_ask_human.spec.model_copy(update={"asks": True}))
"""The tool by which an agent asks a person: a request of the kind `question`, and the answer as its result."""


def _stage(verb: str) -> Stage:
    try:
        return STAGE.get()
    except LookupError:
        raise DefinitionError(f"{verb}() works only inside a node of a running Graph.") from None


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
        returns=each.returns or str(join(_labels(each))),
        accepts="external",
    )


def _labels(agent: Agent[Any]) -> Iterable[Label]:
    """Of everything that an agent may read, or one that it asks; of a quarantined reader, what it is said to be."""
    if agent.returns:
        yield read_label(agent.returns)
        return
    for each in agent.reach():
        yield read_label(each.spec("").input)
        yield from _returned(each.tools)


def _returned(tools: Iterable[Tool]) -> Iterable[Label]:
    return (read_label(tool.spec.returns) for tool in tools)
