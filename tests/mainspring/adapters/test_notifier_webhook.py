import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from mainspring.adapters.notifier import open_notifier
from mainspring.errors import NotifyError
from mainspring.ports.notifier import Channel, Notifier
from mainspring.testing.notifier_contract import sample
from tests.mainspring.adapters.listening import Ear, listening

SECRET = "whsec_" + "c2VjcmV0" * 4
OTHER = "whsec_" + "b3RoZXJz" * 4


@pytest.fixture
def ear() -> Iterator[Ear]:
    """A server that listens."""
    with listening() as server:
        yield server


def opened(ear: Ear, person: str = "", **more: Any) -> Notifier:
    """A notifier with one channel, `ops`, which is a webhook."""
    hook = Channel(url=f"webhook+http://127.0.0.1:{ear.port}/hook?a=b", secret=SECRET, person=person)
    return open_notifier({"ops": hook}, **more)


async def test_signature(ear: Ear) -> None:
    """A receiver can verify the webhook with the secret, and reads JSON, whatever characters are in it."""
    await opened(ear).send("ops", sample(reason="Größe 42 €"))

    [posted] = ear.posted
    assert posted.path == "/hook?a=b"
    assert posted.headers["content-type"] == "application/json"
    assert Webhook(SECRET).verify(posted.body, posted.headers)["data"]["reason"] == "Größe 42 €"


async def test_wrong_secret(ear: Ear) -> None:
    """With another secret it does not verify, nor does it when a byte is changed."""
    await opened(ear).send("ops", sample())

    [posted] = ear.posted
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(posted.body, posted.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(posted.body.replace(b"issue_refund", b"issue_refunt"), posted.headers)


async def test_id_is_the_same_in_each_attempt(ear: Ear) -> None:
    """The id is the notice's key, and the body is the same too, so a receiver can drop a repetition."""
    ear.answers = [500]
    notifier = opened(ear)
    with pytest.raises(NotifyError):
        await notifier.send("ops", sample(key="one"))
    await notifier.send("ops", sample(key="one"))
    await notifier.send("ops", sample(key="two"))

    assert [each.headers["webhook-id"] for each in ear.posted] == ["one", "one", "two"]
    assert ear.posted[0].body == ear.posted[1].body
    assert abs(int(ear.posted[0].headers["webhook-timestamp"]) - time.time()) < 60


async def test_payload(ear: Ear) -> None:
    """The body has a type, a time and all that the notice tells; it has no digest of what the call is made with."""
    notifier = opened(ear, ui="https://temporal.example.com/", inbox="https://inbox.example.com")
    await notifier.send("ops", sample(occasion="handed over", at=1_700_000_000.5))

    told = json.loads(ear.posted[0].body)
    assert (told["type"], told["timestamp"]) == ("request.handed_over", "2023-11-14T22:13:20+00:00")
    data = told["data"]
    assert data.pop("title").startswith("Nobody decided on issue_refund in time")
    assert "Refunds over 50 EUR" in data.pop("text")
    assert data == {
        "namespace": "default",
        "run": "refund-1042",
        "execution": "0198f2c4-0000-7000-8000-000000000000",
        "request": "1",
        "kind": "approval",
        "agent": "desk",
        "tool": "issue_refund",
        "rule": "large refunds",
        "reason": "Refunds over 50 EUR need a person.",
        "who": ["finance"],
        "person": "",
        "deadline": "2027-01-15T08:00:00+00:00",
        "decision": "",
        "links": {
            "ui": "https://temporal.example.com/namespaces/default/workflows/refund-1042/"
            "0198f2c4-0000-7000-8000-000000000000/user-metadata",
            "inbox": "https://inbox.example.com/requests/default/refund-1042/1",
        },
    }


async def test_link_that_decides(ear: Ear) -> None:
    """For a person the link is signed for them, for this request, until its deadline."""
    notifier = opened(ear, "ada@example.com", inbox="https://inbox", sign=lambda *about: "/".join(map(str, about)))
    await notifier.send("ops", sample(run="a/b c"))

    assert json.loads(ear.posted[0].body)["data"]["links"]["inbox"] == (
        "https://inbox/link/default/a%2Fb%20c/1?t=ada%40example.com%2Fbinding%2F1800000000.0"
    )


@pytest.mark.parametrize("why", ["for many", "decided", "unbound", "no deadline", "nothing to sign with"])
async def test_link_that_only_shows(ear: Ear, why: str) -> None:
    """Where several read it, or there is nothing to decide or to sign, the link shows the request and no more."""
    person = "" if why == "for many" else "ada@example.com"
    sign = None if why == "nothing to sign with" else lambda *_: "token"
    changes = {"decided": {"occasion": "decided"}, "unbound": {"binding": ""}, "no deadline": {"deadline": 0.0}}.get(
        why, {}
    )
    await opened(ear, person, inbox="https://inbox", sign=sign).send("ops", sample(**changes))

    links = json.loads(ear.posted[0].body)["data"]["links"]
    assert links == {"ui": "", "inbox": "https://inbox/requests/default/refund-1042/1"}


async def test_redirect_is_not_followed(ear: Ear) -> None:
    """A webhook goes to its own address alone."""
    ear.answers = [307]
    with pytest.raises(NotifyError, match="status 307") as caught:
        await opened(ear).send("ops", sample())

    assert not caught.value.retryable
    assert len(ear.posted) == 1
