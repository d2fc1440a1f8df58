"""Wrong definitions fail where they are written, with the owner's name and the fix."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph

from mainspring import Agent, Context, DefinitionError, Graph, PolicyError, tool, use


class State(TypedDict, total=False):
    """What the graphs of this file pass on."""

    input: str


@tool(effect="read", returns="trusted")
def weather(city: str, days: int = 1) -> str:
    """Tell the weather of a city.

    Args:
        city: where.
        days: how many days ahead.
    """
    return f"sunny in {city} for {days}"


def test_schema_comes_from_hints_and_docstring() -> None:
    """Types, defaults and texts of arguments stand in the schema the model reads."""
    schema = weather.spec.input_schema

    assert weather.spec.description == "Tell the weather of a city."
    assert schema["properties"]["city"] == {"description": "where.", "title": "City", "type": "string"}  # type: ignore[index, call-overload]
    assert schema["required"] == ["city"]


def test_context_is_not_an_argument_of_the_model() -> None:
    """A parameter of type `Context` is filled by the engine and hidden from the model."""

    @tool(effect="idempotent", returns="trusted")
    def pay(amount_cents: int, context: Context) -> str:
        """Pay."""
        return f"{amount_cents} {context.idempotency_key}"

    assert list(pay.spec.input_schema["properties"]) == ["amount_cents"]  # type: ignore[arg-type]


def test_effect_must_be_said() -> None:
    """A bare `@tool` is refused with the line to write."""
    with pytest.raises(DefinitionError, match=r"tool 'look' does not say its effect.*@tool\(effect='read'\)"):

        @tool  # type: ignore[arg-type]
        def look() -> None:
            """Look."""


def test_docstring_must_be_there() -> None:
    """A tool without docstring is refused by name, with the reason."""
    with pytest.raises(DefinitionError, match=r"tool 'look' .* has no docstring"):

        @tool(effect="read", returns="trusted")
        def look() -> None:
            pass


def test_arguments_need_types() -> None:
    """An argument without type hint is refused by name."""
    with pytest.raises(DefinitionError, match="argument 'what' has no type hint"):

        @tool(effect="read", returns="trusted")
        def look(what) -> None:  # type: ignore[no-untyped-def]
            """Look."""


def test_two_tools_of_one_name_are_refused() -> None:
    """An agent cannot have two tools that the model calls by one name."""
    with pytest.raises(DefinitionError, match="agent 'pilot' has two tools named 'weather'"):
        Agent("pilot", instructions="Fly.", tools=[weather, weather])


def test_a_plain_function_is_no_tool() -> None:
    """A function without `@tool` is refused with the fix."""
    with pytest.raises(DefinitionError, match=r"agent 'pilot'.*Put @tool"):
        Agent("pilot", instructions="Fly.", tools=[print])  # type: ignore[list-item]


@pytest.mark.parametrize("name", ["Pilot", "", "two words", "-x"])
def test_a_name_must_fit_a_workflow_type(name: str) -> None:
    """Names that are awkward to type are refused."""
    with pytest.raises(DefinitionError, match="a name has a-z"):
        Agent(name, instructions="Fly.")


def test_a_missing_file_is_named() -> None:
    """A file that is not there is named, with where it was looked for."""
    with pytest.raises(DefinitionError, match=r"agent 'pilot': there is no file 'gone\.md'"):
        Agent("pilot", instructions="gone.md")


def test_a_rule_for_an_unknown_tool_is_refused(tmp_path: Path) -> None:
    """A rule that names a tool the agent does not have fails at import, with file and line."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n  - {id: r, point: tool_call, tool: wether, when: 'true', verdict: deny, reason: No.}\n")

    with pytest.raises(PolicyError, match=r"rules\.yaml:2:5: .*agent 'pilot' has no tool 'wether'.*'weather'"):
        Agent("pilot", instructions="Fly.", tools=[weather], rules=rules)


def test_an_agent_used_as_a_tool_needs_a_description() -> None:
    """Another agent must know when to ask it."""
    with pytest.raises(DefinitionError, match="has no description to choose it by"):
        Agent("captain", instructions="Lead.", tools=[Agent("pilot", instructions="Fly.")])


def test_an_agent_as_a_tool_takes_a_request() -> None:
    """Its tool name is its own with underscores, and it takes one text."""
    expert = Agent("wind-expert", instructions="Know.", description="Knows wind.")
    spec = Agent("captain", instructions="Lead.", tools=[expert]).spec("playbook")

    assert [t.name for t in spec.tools] == ["wind_expert"]
    assert spec.tools[0].agent == "wind-expert"


def test_a_compiled_graph_is_refused() -> None:
    """The engine compiles graphs itself, with functions made fit for a workflow."""
    built = StateGraph(State)
    built.add_node("a", lambda s: s)
    built.add_edge(START, "a")
    built.add_edge("a", END)

    with pytest.raises(DefinitionError, match=r"graph 'g'.*not compiled"):
        Graph("g", object())
    outer = StateGraph(State)
    outer.add_node("inner", built.compile())
    with pytest.raises(DefinitionError, match="node 'inner' is no function"):
        Graph("g", outer)


async def test_use_outside_a_graph_says_so() -> None:
    """`use` without a running graph is an error in words."""
    with pytest.raises(DefinitionError, match="works only inside a node"):
        await use(weather, city="Oslo")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"max_steps": 0}, "max_steps is 0"),
        ({"model_timeout": timedelta(0)}, "model_timeout is"),
        ({"model": "gpt"}, "model is 'gpt'; it must be 'playbook' or 'provider:name'"),
        ({"result": int | str}, "it must be a pydantic model"),
    ],
)
def test_settings_that_cannot_work_are_refused(more: dict[str, Any], sentence: str) -> None:
    """Every number and name of an agent is checked when it is made."""
    with pytest.raises(DefinitionError, match=sentence):
        Agent("pilot", instructions="Fly.", **more)


def test_a_state_without_fields_is_refused() -> None:
    """It could be given nothing, and no run of it would ever begin."""
    built = StateGraph(dict)
    built.add_node("a", lambda s: s)
    built.add_edge(START, "a")

    with pytest.raises(DefinitionError, match="graph 'g': its state has no named fields"):
        Graph("g", built)


def test_an_edge_to_nowhere_is_refused() -> None:
    """What LangGraph finds wrong with a graph is found at import."""
    built = StateGraph(State)
    built.add_node("a", lambda s: s)
    built.add_edge(START, "a")
    built.add_edge("a", "b")

    with pytest.raises(DefinitionError, match=r"graph 'g': .*unknown node"):
        Graph("g", built)


def test_a_label_that_is_none_is_refused() -> None:
    """With the tool or the agent, the parameter, and the words there are."""

    def look() -> str:
        """Look."""
        return ""

    with pytest.raises(
        DefinitionError, match=r"tool 'look' \(.+\) has returns='extern': 'extern' is no label; there are"
    ):
        tool("read", returns="extern")(look)
    with pytest.raises(DefinitionError, match="has accepts='user external': 'user' and 'external' contradict"):
        tool("once", accepts="user external")(look)
    with pytest.raises(DefinitionError, match="agent 'a' has input='mail': 'mail' is no label"):
        Agent("a", instructions="Go.", input="mail")


def test_what_is_not_said_of_a_tool_is_taken_at_its_worst() -> None:
    """Anybody may have written its results; without effects it takes anything, with effects only the user's."""

    def look() -> str:
        """Look."""
        return ""

    specs = [tool(effect)(look).spec for effect in ("read", "idempotent", "once")]  # type: ignore[arg-type]

    assert [(spec.returns, spec.accepts) for spec in specs] == [
        ("external", "external"),
        ("external", "user"),
        ("external", "user"),
    ]


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (
            "{id: r, point: input, when: 'true', verdict: playbook, reason: No.}",
            "'a' has no playbook that could answer",
        ),
        (
            "{id: r, point: tool_result, tool: helper, when: 'true', verdict: deny, reason: No.}",
            "'helper' is an agent. Write the rule into its own file, at 'output'",
        ),
    ],
)
def test_a_rule_that_could_never_act_is_refused(tmp_path: Path, rule: str, sentence: str) -> None:
    """Nobody relies on what is passed over in silence."""
    (tmp_path / "r.yaml").write_text(f"rules:\n  - {rule}\n")
    helper: Agent[str] = Agent("helper", instructions="Help.", description="Helps.")

    with pytest.raises(PolicyError, match=re.escape(sentence)):
        Agent("a", instructions="Go.", tools=[weather, helper], rules=tmp_path / "r.yaml")


@pytest.mark.parametrize(
    "rule",
    [
        "{id: r, point: output, when: 'true', verdict: deny, reason: No.}",
        "{id: r, point: input, verdict: redact, reason: No.}",
        "{id: r, point: tool_call, verdict: redact, reason: No.}",
    ],
)
def test_a_graphs_rules_are_for_its_own_calls(tmp_path: Path, rule: str) -> None:
    """What its agents read and say is for theirs."""
    (tmp_path / "r.yaml").write_text(f"rules:\n  - {rule}\n")
    built = StateGraph(State)
    built.add_node("a", lambda s: s)
    built.add_edge(START, "a")

    with pytest.raises(PolicyError, match="'g' is a graph: what its agents read and answer is for their own rules"):
        Graph("g", built, tools=[weather], rules=tmp_path / "r.yaml")


def test_a_limit_for_another_agent_is_refused(tmp_path: Path) -> None:
    """An agent used as a tool is limited by what it does."""
    limit = "{id: l, point: tool_call, tool: helper, at_most: 1, every: 1h, reason: No.}"
    (tmp_path / "r.yaml").write_text(f"limits:\n  - {limit}\n")
    helper: Agent[str] = Agent("helper", instructions="Help.", description="Helps.")

    with pytest.raises(PolicyError, match="'helper' is an agent, whose own calls are limited"):
        Agent("a", instructions="Go.", tools=[helper], rules=tmp_path / "r.yaml")
