"""What people decide beside yes and no: they answer questions, finish the conversation, stop the run, change a node."""

from typing import Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel
from temporalio.client import WorkflowFailureError

from mainspring import Agent, Graph, ask, ask_human, tool, use
from mainspring.contracts import names
from mainspring.core.approvals import Request
from mainspring.testing import ScriptedModel, call, calls, say
from mainspring.testing.bench import Bench
from tests.mainspring.durable.conftest import Move
from tests.mainspring.durable.guarded import Listening

SENT: list[str] = []


class Reply(BaseModel):
    """A typed answer."""

    text: str
    level: int = 1


class State(TypedDict, total=False):
    """The state of a graph."""

    input: str
    draft: str
    level: int
    answer: str


@tool("once", returns="trusted", accepts="external")
def send(text: str) -> str:
    """Send a letter."""
    SENT.append(text)
    return "sent"


def desk(**more: Any) -> Agent[Any]:
    """An agent that sends letters and asks."""
    return Agent("desk", instructions="Answer.", tools=[send, ask_human], **more)


class TestQuestions:
    """An agent asks a person."""

    async def test_in_a_persons_own_words(self, mainspring: Bench) -> None:
        """The answer is the call's result; nothing else is asked of the person than the question."""
        heard = Listening(say("Blue it is."))
        model = ScriptedModel(call("ask_human", question="Which colour?"), heard)
        run = await mainspring.start(desk(), "Hi.", model=model)
        (request,) = await run.waiting()

        assert (request.kind, request.args["question"]) == ("question", "Which colour?")
        assert await run.refusal_of(names.APPROVE, {"request": "1"}) == (
            "Request 1 is decided with answer, not with 'approve'."
        )
        assert await run.refusal_of(names.ANSWER, {"request": "1", "answer": " "}) == (
            "'answer' must be your answer: \"…\" in quotes."
        )
        assert await run.answer(request, text="Blue") == "Request 1 (ask_human): answer. Recorded."
        assert (await run.result()).answer == "Blue it is."
        assert heard.heard[-1] == '"Blue"'

    async def test_by_a_choice_of_a_button(self, mainspring: Bench) -> None:
        """The button's name has a number only: what an agent writes may be personal, and names are public."""
        heard = Listening(say("Done."))
        model = ScriptedModel(call("ask_human", question="Which?", choices=["Ada Lovelace", "Bo"]), heard)
        run = await mainspring.start(desk(), "Hi.", model=model)
        await run.waiting()

        await run.update("answer 1: choice 2")
        await run.result()
        assert heard.heard[-1] == '"Bo"'

    async def test_with_a_text_in_quotes(self, mainspring: Bench) -> None:
        """As the Web UI sends what is typed between quotes."""
        heard = Listening(say("Done."))
        run = await mainspring.start(desk(), "Hi.", model=ScriptedModel(call("ask_human", question="Which?"), heard))
        await run.waiting()

        await run.update("answer 1: in your own words", "Both")
        await run.result()
        assert heard.heard[-1] == '"Both"'

    async def test_that_nobody_answers(self, mainspring: Bench) -> None:
        """The agent is told, and goes on."""
        heard = Listening(say("Then not."))
        run = await mainspring.start(desk(), "Hi.", model=ScriptedModel(call("ask_human", question="Which?"), heard))
        (request,) = await run.waiting()

        await run.deny(request)
        assert (await run.result()).answer == "Then not."
        assert "denied" in heard.heard[-1]

    async def test_of_a_graphs_node(self, mainspring: Bench) -> None:
        """`use(ask_human, …)` gives the answer."""

        async def node(state: State) -> State:
            return {"answer": await use(ask_human, question=f"What of {state['input']}?")}

        graph = StateGraph(State)
        graph.add_node("node", node)
        graph.add_edge(START, "node")
        graph.add_edge("node", END)
        run = await mainspring.start(Graph("asking", graph, tools=[ask_human]), "it")
        (request,) = await run.waiting()

        assert request.args["question"] == "What of it?"
        await run.answer(request, text="Nothing")
        assert (await run.result()).answer == "Nothing"


class TestTakingOver:
    """A person finishes the conversation."""

    async def test_in_the_agents_place(self, mainspring: Bench) -> None:
        """The call that asked does not run, nor do others that wait; the answer is the person's."""
        model = ScriptedModel(calls(call("send", text="a"), call("send", text="b")))
        run = await mainspring.start(desk(), "Hi.", model=model)
        first, _ = await run.waiting(2)
        SENT.clear()

        await run.take_over(first, "I will call you.")
        assert (await run.result()).answer == "I will call you."
        assert SENT == []

    async def test_needs_words(self, mainspring: Bench) -> None:
        """An empty answer is none."""
        run = await mainspring.start(desk(), "Hi.", model=ScriptedModel(call("send", text="a")))
        (request,) = await run.waiting()

        assert await run.refusal_of("take over 1: in your own words") == (
            "'answer' must be your answer: \"…\" in quotes."
        )
        await run.take_over(request, "No.")
        await run.result()

    async def test_with_a_type(self, mainspring: Bench) -> None:
        """The answer must fit the agent's."""
        run = await mainspring.start(desk(result=Reply), "Hi.", model=ScriptedModel(call("send", text="a")))
        (request,) = await run.waiting()

        for answer, why in (("No.", "'answer' is not JSON"), ('{"level": 2}', "'answer' does not fit: the arguments")):
            assert (await run.refusal_of(names.TAKE_OVER, {"request": "1", "answer": answer})).startswith(why)
        await run.take_over(request, '{"text": "No."}')
        assert (await run.result()).answer == "No."

    async def test_a_session_goes_on(self, mainspring: Bench) -> None:
        """The next message is the agent's again, which has read what the person said."""
        heard = Listening(say("As I said."))
        run = await mainspring.start(desk(), None, model=ScriptedModel(call("send", text="a"), heard))
        first = await run.send("Hi.")
        (request,) = await run.waiting()
        await run.take_over(request, "I will call you.")

        assert (await run.reply(first.message)).answer == "I will call you."
        second = await run.send("When?")
        assert (await run.reply(second.message)).answer == "As I said."
        assert "A person took over, and answered in your place: I will call you." in heard.heard

    async def test_not_of_a_call_that_a_graph_makes(self, mainspring: Bench) -> None:
        """There is no conversation; its arguments can be changed."""

        async def node(state: State) -> State:
            return {"answer": await use(send, text=state["input"])}

        graph = StateGraph(State)
        graph.add_node("node", node)
        graph.add_edge(START, "node")
        graph.add_edge("node", END)
        run = await mainspring.start(Graph("sending", graph, tools=[send]), "letter")
        (request,) = await run.waiting()
        SENT.clear()

        assert (await run.refusal_of(names.TAKE_OVER, {"request": "1", "answer": "x"})).startswith("This call is a")
        await run.approve(request, args={"text": "a better letter"})
        await run.result()
        assert SENT == ["a better letter"]


class TestStopping:
    """A person denies, and the run ends with that."""

    async def test_with_a_reason(self, mainspring: Bench) -> None:
        """It fails, and says that a person stopped it."""
        run = await mainspring.start(desk(), "Hi.", model=ScriptedModel(call("send", text="a")))
        (request,) = await run.waiting()

        await run.deny(request, "This is fraud", stop=True)
        with pytest.raises(WorkflowFailureError) as caught:
            await run.handle.result()
        assert str(caught.value.cause) == "Stopped: A person denied send and stopped the run: This is fraud"

    async def test_a_session_ends(self, mainspring: Bench) -> None:
        """Not only its message fails."""
        run = await mainspring.start(desk(), None, model=ScriptedModel(call("send", text="a")))
        await run.send("Hi.")
        await run.waiting()

        await run.update("deny 1 and stop the run")
        with pytest.raises(WorkflowFailureError):
            await run.handle.result()


def drafting(*nodes: str) -> Graph:
    """A graph that drafts, then answers with the draft."""

    async def draft(state: State) -> State:
        return {"draft": await ask(writer, state["input"]), "level": 1}

    def answer(state: State) -> State:
        return {"answer": f"{state['draft']} ({state['level']})"}

    graph = StateGraph(State)
    graph.add_node("draft", draft)
    graph.add_node("answer", answer)
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "answer")
    graph.add_edge("answer", END)
    return Graph("drafting", graph, agents=[writer], review=nodes)


writer = Agent("writer", instructions="Write.")


class TestReviewsOfNodes:
    """A person looks at what a graph's node gave."""

    async def start(self, mainspring: Bench) -> tuple[Any, Request]:
        """A run that waits after its first node."""
        run = await mainspring.start(drafting("draft"), "Hi.", model=ScriptedModel(say("Dear Ada")))
        (request,) = await run.waiting()
        return run, request

    async def test_it_goes_on_as_it_is(self, mainspring: Bench) -> None:
        """Where it is approved."""
        run, request = await self.start(mainspring)

        assert (request.kind, request.tool, request.args) == ("review", "draft", {"draft": "Dear Ada", "level": 1})
        await run.approve(request)
        assert (await run.result()).answer == "Dear Ada (1)"

    async def test_it_goes_on_as_changed(self, mainspring: Bench, move: Move) -> None:
        """Also where the run continues as new in between."""
        run, request = await self.start(mainspring)
        await move(run)

        assert await run.refusal_of(names.APPROVE, {"request": "1", "args": {"drift": "x"}}) == (
            "draft cannot be called so: it has no argument 'drift'. Did you mean 'draft'?"
        )
        await run.approve(request, args={"draft": "Dear Bo"})
        assert (await run.result()).answer == "Dear Bo (1)"

    async def test_it_fails_where_it_is_denied(self, mainspring: Bench) -> None:
        """With the reason."""
        run, request = await self.start(mainspring)

        await run.deny(request, "Too short.")
        with pytest.raises(WorkflowFailureError) as caught:
            await run.handle.result()
        assert str(caught.value.cause) == "NotReviewed: Too short."


async def test_a_typed_answer_is_replaced_by_one_that_fits(mainspring: Bench, rules: Any) -> None:
    """What does not fit is refused, and nothing is lost."""
    path = rules('rules:\n  - {id: look, point: output, when: "true", verdict: ask, reason: Look.}\n')
    run = await mainspring.start(desk(result=Reply, rules=path), "Hi.", model=ScriptedModel(say({"text": "Yes."})))
    (request,) = await run.waiting()

    assert (await run.refusal_of(names.APPROVE, {"request": "1", "answer": '{"text": 7}'})).startswith(
        "'answer' does not fit: text: 7 is not of type 'string'."
    )
    await run.approve(request, answer='{"text": "No."}')
    result = await run.result()
    assert (result.answer, result.result) == ("No.", {"text": "No."})
