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


@pytest.mark.parametrize(
    ("path", "body", "status"), [("/responses", {}, 404), ("/chat/completions", {"stream": True}, 400)]
)
def test_not_spoken(server, path, body, status):
    """What this server does not speak is refused in words."""
    answer = post(server, path, **body)
    assert answer.status_code == status
    assert "this server" in answer.json()["error"]["message"]
