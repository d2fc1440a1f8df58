"""The playbook behind the model port."""

import pytest

from mainspring.adapters.playbook import PlaybookModel
from mainspring.core.messages import Message
from mainspring.errors import ModelError
from mainspring.ports.model import ModelRequest

PLAYBOOK = "rows: [{id: only, when: true, answer: 'You said: {text}'}]"


def request(playbook: str, said: str = "hello") -> ModelRequest:
    """A request of an agent with this playbook."""
    messages = (Message(role="user", text=said),)
    return ModelRequest(
        agent="echo", instructions="", messages=messages, playbook=playbook, playbook_source="echo.playbook.yaml"
    )


async def test_reply():
    """It answers by the playbook, says what it is and counts no tokens."""
    reply = await PlaybookModel().reply(request(PLAYBOOK))

    assert (reply.text, reply.why[0]) == ("You said: hello", "row 'only': answer")
    assert (reply.model, reply.provider, reply.input_tokens, reply.output_tokens) == ("playbook", "mainspring", 0, 0)


async def test_requests_are_independent():
    """One instance serves many threads and playbooks and mixes none."""
    model = PlaybookModel()
    await model.reply(request(PLAYBOOK, "one"))

    assert (await model.reply(request(PLAYBOOK.replace("You", "They"), "two"))).text == "They said: two"
    assert (await model.reply(request(PLAYBOOK, "three"))).text == "You said: three"


@pytest.mark.parametrize(
    ("playbook", "problem"), [("", "agent 'echo' has no playbook"), ("rows: []", "echo.playbook.yaml:1")]
)
async def test_no_usable_playbook(playbook: str, problem: str):
    """A missing or wrong playbook fails in words, and is not tried again."""
    with pytest.raises(ModelError) as caught:
        await PlaybookModel().reply(request(playbook))

    assert problem in str(caught.value)
    assert not caught.value.retryable
