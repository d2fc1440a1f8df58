"""Decisions with a token, in real runs: whose it is counts, for one request and one set of arguments, and once."""

import time
from typing import Any

import pytest

from mainspring import Agent
from mainspring.approving import open_keys
from mainspring.contracts import names
from mainspring.core.approvals import Request, form_digest
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench, TestRun
from tests.mainspring.durable.guarded import history_of
from tests.mainspring.durable.paying import paid, pay

ADA, BO = "ada@example.com", "bo@example.com"
RULES = """
approvals:
  routes:
    - {id: paid, tool: pay, verified: true, who: [finance], need: 2}
rules:
  - {id: pay, point: tool_call, tool: pay, when: "true", verdict: ask, reason: Somebody looks at payments.}
"""


@pytest.fixture
def start(mainspring: Bench, rules: Any) -> Any:
    """Starts a run that wants to pay."""

    async def started() -> tuple[TestRun, Request]:
        agent = Agent("desk", instructions="Pay.", tools=[pay], rules=rules(RULES))
        run = await mainspring.start(agent, "Pay.", model=ScriptedModel(call("pay", cents=500), say("Done.")))
        (request,) = await run.waiting()
        return run, request

    return started


@pytest.fixture
def sign(mainspring: Bench) -> Any:
    """Signs as the inbox does, for somebody with a role."""
    keys = open_keys(mainspring.settings())

    def signed(person: str, request: Request, *, role: str = "finance", **more: Any) -> str:
        about = {"binding": request.binding, "now": time.time(), "seconds": 300.0, **more}
        return keys.sign(person, roles=(role,), **about)

    return signed


async def test_two_who_are_verified(start: Any, sign: Any) -> None:
    """Each with a token of their own; history has who they are, and how that is known."""
    run, request = await start()
    form = {"request": "1", "comment": "fine"}

    token = sign(ADA, request, form=form_digest("approve", form))
    assert "1 of 2" in await run.update(names.APPROVE, {**form, "token": token})
    assert await run.refusal_of(names.APPROVE, {**form, "token": token}) == (
        "This token was used for request 1 already."
    )
    assert (await run.waiting())[0].votes[0].identity.words == f"verified: {ADA} via mainspring"
    await run.update(names.APPROVE, {"request": "1", "token": sign(BO, request)})
    await run.result()
    assert paid(run) == ["500"]
    assert f'"person":"{BO}","how":"verified","by":"mainspring"' in await history_of(run)


async def test_what_a_token_is_not_for(start: Any, sign: Any) -> None:
    """Each is refused by name, and nothing is counted."""
    run, request = await start()
    other = request.model_copy(update={"binding": "0" * 32})

    for token, why in (
        (sign(ADA, other), "The token is for another request, or for other arguments."),
        (sign(ADA, request, seconds=1.0, now=time.time() - 3600), "The token has expired."),
        (sign(ADA, request, form=form_digest("deny", {})), "The token is for another decision."),
        (sign(ADA, request, role="sales"), f"{ADA!r} may not decide request 1. It is for finance."),
        (sign(ADA, request)[:-8] + "AAAAAAAA", "The token is forged"),
        ("x.y.z", "What was sent is no token (JWT)."),
    ):
        said = await run.refusal_of(names.APPROVE, {"request": "1", "token": token})
        assert said.startswith(why), said
    assert (await run.waiting())[0].votes == ()
    assert paid(run) == []


async def test_a_token_does_not_outlive_an_edit(start: Any, sign: Any) -> None:
    """Who agreed to one amount has not agreed to another."""
    run, request = await start()
    await run.update(names.APPROVE, {"request": "1", "token": sign(ADA, request), "args": {"cents": 400}})
    (edited,) = await run.waiting()

    said = await run.refusal_of(names.APPROVE, {"request": "1", "token": sign(BO, request)})
    assert said.startswith("The token is for another request, or for other arguments.")
    await run.update(names.APPROVE, {"request": "1", "token": sign(BO, edited)})
    await run.result()
    assert paid(run) == ["400"]
