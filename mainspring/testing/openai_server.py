"""A local server that speaks the OpenAI chat-completions protocol and says what a test wrote down.

    with OpenAIServer(call("find_order", order=1042), say("It is on its way.")) as server:
        chat = ChatOpenAI(base_url=server.url, api_key="any", model="scripted", max_retries=0)

Test side only: it lets a real provider client be tested without a key or a network.
"""

import asyncio
import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence
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
    """An answer as it goes over the wire."""

    status: int
    body: object
    headers: dict[str, str]


class OpenAIServer:
    """Answers chat completions by the steps of `mainspring.testing`, on a free port of this machine.

    Where scripts go by agent, the agent is the `model` of the request. `requests` keeps the body of
    everything that was asked, oldest first; `url` is what a client takes as its base URL.
    """

    def __init__(self, *steps: Step | Mapping[str, Sequence[Step]]) -> None:
        self.requests: list[dict[str, Any]] = []
        self._model = ScriptedModel(*steps)
        self._instead: deque[HttpAnswer] = deque()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """The base URL, ending in `/v1`."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def answer_next(self, status: int, body: Json, headers: Mapping[str, str] | None = None) -> None:
        """Answer the next request with exactly this instead of the script; several calls queue up."""
        self._instead.append(HttpAnswer(status, body, dict(headers or {})))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _answer(self, path: str, body: dict[str, Any]) -> HttpAnswer:
        if path != PATH:
            return _failure(HTTPStatus.NOT_FOUND, f"this server has {PATH} only, not {path}")
        self.requests.append(body)
        if self._instead:
            return self._instead.popleft()
        if body.get("stream"):
            return _failure(HTTPStatus.BAD_REQUEST, "this server does not stream; leave 'stream' out")
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
                answer = server._answer(self.path, json.loads(self.rfile.read(length) or b"{}"))
                payload = json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

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
