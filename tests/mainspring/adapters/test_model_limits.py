import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import httpx2
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI

from mainspring.adapters.chat_model import ChatModel, Limits, open_model
from mainspring.adapters.chat_model.limits import SHARES, Wait, limits_of
from mainspring.adapters.chat_model.providers import PROVIDERS
from mainspring.core.messages import Message
from mainspring.core.spec import ToolSpec
from mainspring.errors import ModelError
from mainspring.ports.model import ModelRequest
from mainspring.testing import OpenAIServer, call, say

TOOL = ToolSpec(name="find_order", description="Look up.", input_schema={"type": "object"}, effect="read")
ASKED = ModelRequest(agent="desk", instructions="Be kind.", messages=(Message(role="user", text="hi"),), tools=(TOOL,))
LONG = " ".join(["word"] * 12)
CALL = ("find_order", {"order": 7})


def client(server: OpenAIServer, limits: Limits, **more) -> ChatModel:
    """Make the real OpenAI client with limits of ours."""
    chat = ChatOpenAI(base_url=server.url, api_key="any", model="gpt-test", max_retries=0, **more)
    return ChatModel(chat, provider="openai", limits=limits)


async def failure(model: ChatModel) -> ModelError:
    """Give the error one request ends in."""
    with pytest.raises(ModelError) as caught:
        await model.reply(ASKED)
    return caught.value


class TestSilence:
    async def test_no_first_token(self):
        """A provider that accepts and says nothing fails by the first-token time-out, long before the total."""
        with OpenAIServer(say("never")) as server:
            server.fall_silent()
            error = await failure(client(server, Limits(first=0.05, idle=60, total=60)))
        assert str(error) == "the provider 'openai' sent no first token within 0.05 s (first-token time-out)."
        assert error.retryable

    @pytest.mark.parametrize("step", [say(LONG), call("find_order", order=7)], ids=["text", "call"])
    async def test_stalls_in_the_middle(self, step):
        """A reply that stops coming fails by the idle time-out; nothing of it is used."""
        with OpenAIServer(step) as server:
            server.fall_silent(after=3)
            error = await failure(client(server, Limits(first=60, idle=0.2, total=60)))
        assert str(error) == (
            "the provider 'openai' stopped in the middle of its reply: nothing more came within 0.2 s (idle time-out)."
        )
        assert error.retryable

    async def test_begun_but_no_token(self):
        """A sign that the provider has begun is no first token."""
        with OpenAIServer(say(LONG)) as server:
            server.fall_silent(after=1)
            error = await failure(client(server, Limits(first=0.2, idle=0.05, total=60)))
        assert "no first token within 0.2 s" in str(error)

    async def test_too_long_in_total(self):
        """A reply that keeps coming fails by the total time-out."""
        with OpenAIServer(say(LONG), pace=0.05) as server:
            error = await failure(client(server, Limits(first=60, idle=60, total=0.2)))
        assert str(error) == "the provider 'openai' gave no whole reply within 0.2 s (total time-out)."
        assert error.retryable

    async def test_slow_but_steady(self):
        """A reply that takes longer than the limits of silence passes, as long as it keeps coming."""
        with OpenAIServer(say(LONG), pace=0.1) as server:
            reply = await client(server, Limits(first=1, idle=1, total=60)).reply(ASKED)
        assert reply.text == LONG

    async def test_not_streamed(self):
        """A chat model that may not stream is not held to a first token, only to the total."""
        with OpenAIServer(say(LONG)) as server:
            server.fall_silent()
            error = await failure(client(server, Limits(first=0.01, total=0.1), disable_streaming=True))
        assert "gave no whole reply within 0.1 s" in str(error)
        assert not server.requests[0].get("stream")


class TestConnect:
    async def test_never_connected(self):
        """A time-out while connecting is told from a silent provider."""

        def unreachable(_: httpx2.Request) -> httpx2.Response:
            raise httpx2.ConnectTimeout("")

        transport = httpx2.MockTransport(unreachable)
        chat = ChatOpenAI(
            model="x", api_key="any", max_retries=0, http_async_client=httpx2.AsyncClient(transport=transport)
        )
        error = await failure(ChatModel(chat, provider="openai", limits=Limits(connect=3)))
        assert str(error) == "the provider 'openai' could not be reached within 3 s (connect time-out)."
        assert error.retryable

    @pytest.mark.parametrize("name", ["openai:gpt-x", "anthropic:claude-x", "ollama:x"])
    def test_clients_know(self, name, monkeypatch):
        """Each provider's client is told how long it may connect, and how long all may take."""
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        monkeypatch.setenv("ANTHROPIC_API_KEY", "any")
        model = open_model(name, 30.0)
        wait = model._options.get("timeout") or model._chat.client_kwargs["timeout"]
        assert (wait.connect, wait.read) == (limits_of(name.partition(":")[0], 30.0).connect, 30.0)

    async def test_by_call(self, monkeypatch):
        """The client's own time-outs reach the wire."""
        seen: list[dict] = []

        def answer(request: httpx2.Request) -> httpx2.Response:
            seen.append(request.extensions["timeout"])
            return httpx2.Response(401, json={"error": {"message": "no"}})

        monkeypatch.setenv("OPENAI_API_KEY", "any")
        opened = open_model("openai:gpt-x", 30.0)
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
        chat = ChatOpenAI(model="x", api_key="any", max_retries=0, http_async_client=http)
        await failure(ChatModel(chat, provider="openai", options=opened._options))
        assert (seen[0]["connect"], seen[0]["read"]) == (10.0, 30.0)


class TestLimits:
    def test_every_provider(self):
        """Every provider has limits of its own."""
        assert set(PROVIDERS) == set(SHARES)

    @pytest.mark.parametrize("provider", [*PROVIDERS, "mistral"])
    def test_in_order(self, provider):
        """No limit is longer than the total, however short that is."""
        for total in (0.1, 2.0, 120.0, 3600.0):
            limits = limits_of(provider, total)
            assert limits.total == total >= limits.first > limits.idle > 0
            assert limits.connect <= total

    def test_ollama_loads_first(self):
        """The first token of a local model may take longer: it is loaded before."""
        assert limits_of("ollama", 120).first > limits_of("openai", 120).first

    def test_of_your_own(self):
        """A chat model of your own has the usual limits of silence, and no total: that is the engine's."""
        limits = ChatModel(ChatOllama(model="x"), provider="other")._limits
        assert (limits.first, limits.idle, limits.total) == (60, 30, float("inf"))

    def test_a_piece_never_shortens_the_wait(self):
        """An empty piece leaves the time to the first token as it is, and buys a pause at its end."""
        wait = Wait(Limits(first=10, idle=3, total=60), start=100)
        wait.hear(101, content=False)
        assert wait.until == 110
        wait.hear(109, content=False)
        assert wait.until == 112

    def test_total_is_the_last_word(self):
        """Content moves the end of the wait, but never past the total."""
        wait = Wait(Limits(first=10, idle=3, total=5), start=100)
        wait.hear(101, content=True)
        assert wait.until == 104
        wait.hear(103, content=True)
        assert wait.until == 105
        assert "total time-out" in str(wait.over("x"))


class Whole(BaseChatModel):
    """A chat model that cannot stream."""

    @property
    def _llm_type(self) -> str:
        return "whole"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("All at once."))])


class Wire:
    """A server that answers every request with the same recorded bytes."""

    def __init__(self, kind: str, payload: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(payload.encode())

            def log_message(self, *args) -> None:
                """Nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def anthropic_stream(stop: str, arguments: list[str]) -> str:
    """Write a message of Anthropic as it is streamed: some text, then one call."""
    usage = {"input_tokens": 25, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": []}
    tool = {"type": "tool_use", "id": "toolu_1", "name": "find_order", "input": {}}
    events = [
        {"type": "message_start", "message": message | {"stop_reason": None, "stop_sequence": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}}
            for t in ("I ", "look.")
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": tool},
        *(
            {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": part}}
            for part in arguments
        ),
        {"type": "content_block_stop", "index": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": usage | {"output_tokens": 9},
        },
        {"type": "message_stop"},
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def ollama_stream(reason: str = "stop") -> str:
    """Write a message of Ollama as it is streamed: some text, then one call."""
    head = {"model": "qwen-x", "created_at": "2026-01-01T00:00:00Z", "done": False}
    tool = {"function": {"name": "find_order", "arguments": {"order": 7}}}
    parts = [
        head | {"message": {"role": "assistant", "content": "I "}},
        head | {"message": {"role": "assistant", "content": "look."}},
        head | {"message": {"role": "assistant", "content": "", "tool_calls": [tool]}},
        head
        | {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": reason}
        | {"prompt_eval_count": 25, "eval_count": 9},
    ]
    return "".join(json.dumps(part) + "\n" for part in parts)


class TestProviders:
    async def test_openai(self):
        """OpenAI's stream gives one reply with text, call, model and tokens."""
        step = call("find_order", order=7)
        with OpenAIServer(step) as server:
            streamed = await client(server, Limits()).reply(ASKED)
            whole = await client(server, Limits(), disable_streaming=True).reply(ASKED)
        assert [bool(body.get("stream")) for body in server.requests] == [True, False]
        assert streamed == whole
        assert [(c.name, c.args) for c in streamed.calls] == [CALL]
        assert streamed.model == "gpt-test"
        assert streamed.input_tokens > 0 < streamed.output_tokens

    async def test_openai_tokens_not_wanted(self):
        """Who says that the provider cannot count the tokens of a stream is not overruled."""
        with OpenAIServer(say("hi")) as server:
            reply = await client(server, Limits(), stream_usage=False).reply(ASKED)
        assert "stream_options" not in server.requests[0]
        assert (reply.text, reply.input_tokens) == ("hi", 0)

    async def test_anthropic(self):
        """Anthropic's stream gives one reply with text, call, model and tokens."""
        with Wire("text/event-stream", anthropic_stream("tool_use", ['{"ord', 'er": 7}'])) as wire:
            chat = ChatAnthropic(model="claude-x", api_key="any", base_url=wire.url, max_retries=0)
            reply = await ChatModel(chat, provider="anthropic").reply(ASKED)
        assert (reply.text, reply.model, reply.provider) == ("I look.", "claude-x", "anthropic")
        assert [(c.id, c.name, c.args) for c in reply.calls] == [("toolu_1", *CALL)]
        assert (reply.input_tokens, reply.output_tokens) == (25, 9)

    async def test_anthropic_cut_off(self):
        """Half a call at the output limit is a reply cut off, never a call."""
        with Wire("text/event-stream", anthropic_stream("max_tokens", ['{"ord'])) as wire:
            chat = ChatAnthropic(model="claude-x", api_key="any", base_url=wire.url, max_retries=0)
            assert "cut off" in str(await failure(ChatModel(chat, provider="anthropic")))

    async def test_ollama(self):
        """Ollama's stream gives one reply with text, call, model and tokens."""
        with Wire("application/x-ndjson", ollama_stream()) as wire:
            reply = await ChatModel(ChatOllama(model="qwen-x", base_url=wire.url), provider="ollama").reply(ASKED)
        assert (reply.text, reply.model, reply.provider) == ("I look.", "qwen-x", "ollama")
        assert [(c.name, c.args) for c in reply.calls] == [CALL]
        assert (reply.input_tokens, reply.output_tokens) == (25, 9)

    async def test_ollama_cut_off(self):
        """Ollama's word for the output limit is known."""
        with Wire("application/x-ndjson", ollama_stream("length")) as wire:
            chat = ChatOllama(model="qwen-x", base_url=wire.url)
            assert "cut off" in str(await failure(ChatModel(chat, provider="ollama")))

    async def test_a_class_that_cannot_stream(self):
        """A chat model without streaming answers at once."""
        model = ChatModel(Whole(), provider="own", limits=Limits(first=60, idle=60, total=60))
        reply = await model.reply(ASKED.model_copy(update={"tools": ()}))
        assert reply.text == "All at once."

    async def test_responses_api_cut_off(self):
        """OpenAI's newer word for the output limit is known."""
        cut = AIMessage("half", response_metadata={"incomplete_details": {"reason": "max_output_tokens"}})
        with pytest.raises(ModelError, match="cut off"):
            ChatModel(Whole(), provider="openai")._read(cut, ASKED)
