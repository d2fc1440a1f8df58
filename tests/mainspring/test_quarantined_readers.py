"""A quarantined reader: no tools, no free text, and then its author may say how far its answers are to be trusted."""

from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, create_model

from mainspring import Agent, DefinitionError, tool
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench


class Colour(Enum):
    """A few words of ours."""

    RED = "red"
    BLUE = "blue"


class Part(BaseModel):
    """A part of a result."""

    kind: Literal["a", "b"]


def reader(kind: Any, **more: Any) -> Agent[Any]:
    """A reader whose result has one field of this type."""
    result = create_model("Gist", found=(kind, ...))
    return Agent("reader", instructions="Read.", description="Reads.", result=result, returns="user", **more)


@pytest.mark.parametrize(
    "kind",
    [
        bool,
        int,
        float | None,
        date,
        datetime,
        Colour,
        Literal["x", "y"],
        list[int],
        dict[Literal["x"], bool],
        Part,
        list[Part | None],
        tuple[int, Colour],
    ],
)
def test_what_has_no_free_text_may_be_trusted(kind: Any) -> None:
    """Numbers, dates, truth values, and words that the author listed."""
    assert reader(kind).returns == "user"


@pytest.mark.parametrize(
    "kind",
    [
        str,
        str | None,
        list[str],
        dict[str, int],
        dict[str, Any],
        Any,
        Annotated[str, Field(max_length=9)],
        Annotated[str, Field(pattern="^[a-z]+$")],
        bytes,
        AnyUrl,
        tuple[int, str],
        int | str,
        create_model("Inner", words=(str, "")),
        create_model("Open", __config__=ConfigDict(extra="allow"), kind=(int, 1)),
    ],
)
def test_what_may_hold_any_text_is_refused(kind: Any) -> None:
    """An order to a model fits into a short text as well, and into the key of an object."""
    with pytest.raises(DefinitionError, match=r"may hold any text\. Use a Literal"):
        reader(kind)


def test_a_reader_has_no_tools_and_a_type() -> None:
    """With a tool it could do what it reads; without a type its answer is free text."""

    @tool("read")
    def look() -> str:
        """Look."""
        return ""

    with pytest.raises(DefinitionError, match=r"has no tools\. Drop the tools, or returns"):
        reader(int, tools=[look])
    with pytest.raises(DefinitionError, match="the answer may hold any text"):
        Agent("reader", instructions="Read.", returns="user")
    with pytest.raises(DefinitionError, match="'mine' is no label"):
        Agent("reader", instructions="Read.", result=Part, returns="mine")
    with pytest.raises(DefinitionError, match="cleared is 'user'; it must be one of 'public'"):
        Agent("reader", instructions="Read.", cleared="user")


@tool("idempotent", returns="trusted")
def act(kind: str) -> str:
    """Act."""
    return kind


async def test_what_it_says_moves_a_tool(mainspring: Bench) -> None:
    """Read by an agent with free text, the same word needs a person."""
    script = {"desk": [call("reader", request="What is it?"), call("act", kind="b"), say("Done.")]}
    answer = [say({"kind": "b"})]
    quarantined = Agent(
        "reader", instructions="Read.", description="Reads.", result=Part, input="external", returns="user"
    )
    run = await mainspring.start(
        Agent("desk", instructions="Work.", tools=[quarantined, act]),
        "Go on.",
        model=ScriptedModel({**script, "reader": answer}),
    )
    assert (await run.result()).totals.tool_calls == 1

    free = Agent("reader", instructions="Read.", description="Reads.", result=Part, input="external")
    run = await mainspring.start(
        Agent("desk", instructions="Work.", tools=[free, act]),
        "Go on.",
        model=ScriptedModel({**script, "reader": answer}),
    )
    (request,) = await run.waiting()
    assert request.rule == "base.untrusted-arguments"
    await run.deny(request)
    await run.result()
