import asyncio

import pytest

from mainspring.core.messages import Message
from mainspring.errors import ModelError
from mainspring.ports.model import ModelRequest
from mainspring.testing import ScriptedModel, call, calls, delay, fail, say
from mainspring.testing.contracts import ModelContract

USER = Message(role="user", text="where is my parcel?")
SPOKE = Message(role="assistant", text="let me see")


def request(*messages: Message, agent: str = "desk") -> ModelRequest:
    """Make a request; without messages, of one user message."""
    return ModelRequest(agent=agent, instructions="be kind", messages=messages or (USER,))


class TestSteps:
    async def test_say(self):
        """`say` answers with its text."""
        assert (await ScriptedModel(say("hello")).reply(request())).text == "hello"

    async def test_say_object(self):
        """`say` turns an object into JSON text, as an agent with a result type needs it."""
        assert (await ScriptedModel(say({"outcome": "größer"})).reply(request())).text == '{"outcome": "größer"}'

    async def test_call(self):
        """`call` asks for one tool call with its arguments, even one that is called `tool`."""
        [made] = (await ScriptedModel(call("find_order", order=7, tool="x")).reply(request())).calls
        assert (made.name, made.args) == ("find_order", {"order": 7, "tool": "x"})

    async def test_calls(self):
        """`calls` asks for several calls in order, each with an id of its own."""
        made = (await ScriptedModel(calls(call("a"), call("b"))).reply(request())).calls
        assert [(c.id, c.name) for c in made] == [("call_1", "a"), ("call_2", "b")]

    async def test_function(self):
        """A function stands for a step and sees the request."""
        model = ScriptedModel(lambda asked: say(asked.messages[-1].text.upper()))
        assert (await model.reply(request())).text == "WHERE IS MY PARCEL?"

    async def test_delay(self):
        """A delayed step has not answered yet while its time is not over."""
        slow = asyncio.ensure_future(ScriptedModel(delay(3600, say("late"))).reply(request()))
        done, _ = await asyncio.wait([slow], timeout=0)
        slow.cancel()
        assert not done

    async def test_delay_ends(self):
        """After its time a delayed step is done."""
        assert (await ScriptedModel(delay(0, say("late"))).reply(request())).text == "late"


class TestWhichStep:
    async def test_thread_decides(self):
        """The step is the number of messages the agent has said in the thread, in any order of asking."""
        model = ScriptedModel(say("one"), say("two"))
        texts = [(await model.reply(request(*m))).text for m in ((USER, SPOKE, USER), (USER,), (USER,))]
        assert texts == ["two", "one", "one"]

    async def test_by_agent(self):
        """Each agent follows its own script."""
        model = ScriptedModel({"triage": [say("refund")], "desk": [say("done")]})
        assert [(await model.reply(request(agent=a))).text for a in ("desk", "triage")] == ["done", "refund"]

    async def test_unknown_agent(self):
        """An agent without a script is named, with the nearest one that has."""
        with pytest.raises(ModelError, match=r"no script for agent 'dexk'\. Did you mean 'desk'\?") as caught:
            await ScriptedModel({"desk": [say("x")]}).reply(request(agent="dexk"))
        assert not caught.value.retryable

    async def test_over(self):
        """A script that is too short fails for good, naming agent and step."""
        with pytest.raises(ModelError, match=r"script of agent 'desk' is over: it has no step 2") as caught:
            await ScriptedModel(say("one")).reply(request(USER, SPOKE))
        assert not caught.value.retryable


class TestFail:
    async def test_then_the_step(self):
        """The first attempts fail as told, then the step that follows is done."""
        model = ScriptedModel(fail("busy", retry_after=2, times=2), say("hello"))
        for _ in range(2):
            with pytest.raises(ModelError, match="busy") as caught:
                await model.reply(request())
            assert (caught.value.retryable, caught.value.retry_after) == (True, 2)
        assert (await model.reply(request())).text == "hello"

    async def test_gone_by(self):
        """A failure before a step that was done does not come again at the next one."""
        assert (await ScriptedModel(fail("busy"), say("one"), say("two")).reply(request(USER, SPOKE))).text == "two"

    async def test_several(self):
        """Failures written one after the other happen one after the other."""
        model = ScriptedModel(fail("first"), fail("second", retryable=False), say("hello"))
        for message, retryable in (("first", True), ("second", False)):
            with pytest.raises(ModelError, match=message) as caught:
                await model.reply(request())
            assert caught.value.retryable is retryable

    async def test_at_its_place(self):
        """A failure belongs to the step after it, not to the ones before."""
        model = ScriptedModel(say("one"), fail("busy"), say("two"))
        assert (await model.reply(request())).text == "one"
        with pytest.raises(ModelError, match="busy"):
            await model.reply(request(USER, SPOKE))
        assert (await model.reply(request(USER, SPOKE))).text == "two"

    async def test_apart(self):
        """Attempts are counted for each thread, so two runs each meet the failure."""
        model = ScriptedModel(fail("busy"), say("one"))
        for text in ("a", "b"):
            with pytest.raises(ModelError, match="busy"):
                await model.reply(request(Message(role="user", text=text)))

    async def test_from_a_function(self):
        """A function may fail as well, at every attempt."""
        model = ScriptedModel(lambda _: fail("always"))
        for _ in range(2):
            with pytest.raises(ModelError, match="always"):
                await model.reply(request())


async def test_requests():
    """Everything that was asked is kept, failed attempts too."""
    model = ScriptedModel(fail("busy"), say("one"))
    with pytest.raises(ModelError):
        await model.reply(request())
    await model.reply(request())
    assert model.requests == [request(), request()]


class TestConformance(ModelContract):
    @pytest.fixture
    def model(self):
        """Give one step for each message of the suite's threads."""
        return ScriptedModel(call("find_order", order=1042), say("It is on its way."), say("Bye."))
