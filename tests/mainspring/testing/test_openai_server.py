import json

import httpx
import pytest

from mainspring.testing import OpenAIServer, call, say


def post(server: OpenAIServer, path: str = "/chat/completions", **body) -> httpx.Response:
    """Ask the server as any client would."""
    body = {"model": "desk", "messages": [{"role": "user", "content": "hi"}]} | body
    return httpx.post(server.url + path, json=body, timeout=10)


@pytest.fixture
def server():
    """Serve the scripts of two agents."""
    with OpenAIServer({"desk": [call("find_order", order=7), say("Done.")], "triage": [say("refund")]}) as server:
        yield server


def test_agent_is_the_model(server):
    """Where scripts go by agent, the request's model says which."""
    assert post(server, model="triage").json()["choices"][0]["message"]["content"] == "refund"


def test_thread_decides(server):
    """The step is read from the messages sent, so any request can be made again."""
    made = post(server).json()["choices"][0]["message"]
    thread = [{"role": "user", "content": "hi"}, made, {"role": "tool", "tool_call_id": "call_1", "content": "1"}]
    for _ in range(2):
        assert post(server, messages=thread).json()["choices"][0]["message"]["content"] == "Done."


def test_answer_next(server):
    """An answer given beforehand is sent once, as it is, and the script goes on after it."""
    server.answer_next(418, {"error": "teapot"}, {"X-Kind": "tea"})
    answer = post(server)
    assert (answer.status_code, answer.json(), answer.headers["X-Kind"]) == (418, {"error": "teapot"}, "tea")
    assert post(server).status_code == 200


def streamed(server: OpenAIServer, **body) -> list[dict]:
    """Ask for a stream; gives its pieces."""
    lines = post(server, stream=True, **body).text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def test_stream(server):
    """Who asks for a stream gets the same reply in pieces, and why it ended."""
    choices = [piece["choices"][0] for piece in streamed(server, model="triage")]
    assert "".join(choice["delta"].get("content", "") for choice in choices) == "refund"
    assert choices[-1]["finish_reason"] == "stop"


def test_streamed_call(server):
    """A call comes with its name first, then its arguments in parts."""
    calls = [c["delta"]["tool_calls"][0] for p in streamed(server) for c in p["choices"] if "tool_calls" in c["delta"]]
    assert calls[0]["function"]["name"] == "find_order"
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"order": 7}


def test_streamed_usage(server):
    """The tokens of a stream are counted where the client asks for them."""
    whole = post(server).json()["usage"]
    assert streamed(server, stream_options={"include_usage": True})[-1]["usage"] == whole
    assert not any("usage" in piece for piece in streamed(server))


def test_not_spoken(server):
    """What this server does not speak is refused in words."""
    answer = post(server, "/responses")
    assert answer.status_code == 404
    assert "this server" in answer.json()["error"]["message"]
