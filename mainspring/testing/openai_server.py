"""A local server that speaks the OpenAI chat-completions protocol and says what a test wrote down.

    with OpenAIServer(call("find_order", order=1042), say("It is on its way.")) as server:
        chat = ChatOpenAI(base_url=server.url, api_key="any", model="scripted", max_retries=0)

A client that asks for a stream gets one, word by word. Test side only: it lets a real provider client be tested
without a key or a network.
"""

import asyncio
import json
import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

from mainspring.core.canonical import Json
from mainspring.core.messages import Message, ToolCall
from mainspring.core.spec import ToolSpec
from mainspring.errors import ModelError
from mainspring.ports.model import ModelReply, ModelRequest
from mainspring.testing.scripted import ScriptedModel, Step

PATH = "/v1/chat/completions"


class HttpAnswer(NamedTuple):
    """An answer as it goes over the wire; after `stop` pieces nothing more comes."""

    status: int
    body: object
    headers: dict[str, str]
    stop: int | None = None


class OpenAIServer:
    """Answers chat completions by the steps of `mainspring.testing`, on a free port of this machine.

    Where scripts go by agent, the agent is the `model` of the request. `requests` keeps the body of
    everything that was asked, oldest first; `url` is what a client takes as its base URL; `pace` is the pause in
    seconds before each piece of a stream.
    """

    def __init__(self, *steps: Step | Mapping[str, Sequence[Step]], pace: float = 0.0) -> None:
        self.requests: list[dict[str, Any]] = []
        self._pace = pace
        self._closed = threading.Event()
        self._stop: int | None = None
        self._model = ScriptedModel(*steps)
        self._instead: deque[HttpAnswer] = deque()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """The base URL, ending in `/v1`."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def answer_next(self, status: int, body: Json, headers: Mapping[str, str] | None = None) -> None:
        """Answer the next request with exactly this instead of the script; several calls queue up.

        A chat completion is cut into pieces where the client asks for a stream.
        """
        self._instead.append(HttpAnswer(status, body, dict(headers or {})))

    def fall_silent(self, after: int = 0) -> None:
        """Send the first pieces of every answer from now on and then nothing; without any, not even a status."""
        self._stop = after

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closed.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _answer(self, path: str, body: dict[str, Any]) -> HttpAnswer:
        if path != PATH:
            return _failure(HTTPStatus.NOT_FOUND, f"this server has {PATH} only, not {path}")
        self.requests.append(body)
        return (self._instead.popleft() if self._instead else self._said(body))._replace(stop=self._stop)

    def _said(self, body: dict[str, Any]) -> HttpAnswer:
        try:
            reply = asyncio.run(self._model.reply(_request(body)))
        except ModelError as error:
            return _scripted_failure(error)
        return HttpAnswer(HTTPStatus.OK, _completion(reply, body), {})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                asked = json.loads(self.rfile.read(length) or b"{}")
                answer = server._answer(self.path, asked)
                completion = cast("dict[str, Any]", answer.body or {})
                streamed = bool(asked.get("stream")) and "choices" in completion
                if answer.stop == 0:
                    server._closed.wait()
                    return
                payload = b"" if streamed else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "text/event-stream" if streamed else "application/json")
                if not streamed:
                    self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)
                if streamed:
                    self._stream(_pieces(completion, asked), answer.stop)

            def _stream(self, pieces: Iterator[dict[str, Any]], stop: int | None) -> None:
                for number, piece in enumerate(pieces):
                    if server._closed.wait(None if number == stop else server._pace):
                        return
                    with suppress(ConnectionError):  # the client has gone: a time-out of its own
                        self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
                        self.wfile.flush()
                with suppress(ConnectionError):
                    self.wfile.write(b"data: [DONE]\n\n")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                """Nothing: a test's output is the test's."""

        return Handler


def _scripted_failure(error: ModelError) -> HttpAnswer:
    """`fail` as a provider shows it: 429 with a wait, 500 without, 400 where trying again is useless."""
    if not error.retryable:
        return _failure(HTTPStatus.BAD_REQUEST, str(error))
    if error.retry_after is None:
        return _failure(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
    return _failure(HTTPStatus.TOO_MANY_REQUESTS, str(error), {"Retry-After": str(error.retry_after)})


def _failure(status: int, message: str, headers: dict[str, str] | None = None) -> HttpAnswer:
    return HttpAnswer(status, {"error": {"message": message, "type": "scripted", "code": None}}, headers or {})


def _request(body: dict[str, Any]) -> ModelRequest:
    """What was asked, as a model of ours is asked."""
    sent = cast("list[dict[str, Any]]", body["messages"])
    return ModelRequest(
        agent=str(body.get("model", "")),
        instructions="\n".join(str(message["content"]) for message in sent if message["role"] == "system"),
        messages=tuple(_message(message) for message in sent if message["role"] != "system"),
        tools=tuple(_tool(tool["function"]) for tool in body.get("tools", ())),
    )


def _message(sent: dict[str, Any]) -> Message:
    calls = tuple(
        ToolCall(id=call["id"], name=call["function"]["name"], args=json.loads(call["function"]["arguments"]))
        for call in sent.get("tool_calls") or ()
    )
    return Message(role=sent["role"], text=sent.get("content") or "", calls=calls, call=sent.get("tool_call_id", ""))


def _tool(function: dict[str, Any]) -> ToolSpec:
    schema = function.get("parameters", {})
    # The protocol does not say what a tool does to the world; nothing here depends on it.
    return ToolSpec(
        name=function["name"], description=function.get("description", ""), input_schema=schema, effect="read"
    )


def _completion(reply: ModelReply, body: dict[str, Any]) -> dict[str, object]:
    """A chat completion; its tokens are counted in words."""
    calls: list[Json] = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": json.dumps(call.args)}}
        for call in reply.calls
    ]
    message: dict[str, Json] = {"role": "assistant", "content": reply.text or None}
    asked, said = len(json.dumps(body["messages"]).split()), len(json.dumps([reply.text, calls]).split())
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 0,
        "model": str(body.get("model", "scripted")),
        "choices": [
            {
                "index": 0,
                "message": message | ({"tool_calls": calls} if calls else {}),
                "finish_reason": "tool_calls" if calls else "stop",
            }
        ],
        "usage": {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said},
    }


def _pieces(completion: dict[str, Any], asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same completion as a stream: word by word, each call's arguments in two parts, then why it ended."""
    head = {key: completion[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    [choice] = completion["choices"]
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += ({"content": word} for word in re.findall(r"\s*\S+|\s+$", message.get("content") or ""))
    for index, call in enumerate(message.get("tool_calls") or ()):
        name, text = call["function"]["name"], call["function"]["arguments"]
        half = len(text) // 2
        first = {"index": index, "id": call["id"], "type": "function", "function": {"name": name, "arguments": ""}}
        rest = ({"index": index, "function": {"arguments": part}} for part in (text[:half], text[half:]))
        deltas += ({"tool_calls": [part]} for part in (first, *rest))
    for delta in deltas:
        yield head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield head | {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    options = cast("dict[str, Any]", asked.get("stream_options") or {})
    if options.get("include_usage") and "usage" in completion:
        yield head | {"choices": [], "usage": completion["usage"]}
