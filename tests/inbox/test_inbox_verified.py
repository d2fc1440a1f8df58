"""Who logged in to the inbox, or has a link of a mail, decides real runs that want somebody verified."""

import time
from functools import partial
from typing import Any

from mainspring import Agent, tool
from mainspring.approving import open_keys, open_own_verifier, sign_in
from mainspring.inbox.app import make_app
from mainspring.inbox.people import Oidc
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench, TestRun
from tests.inbox.conftest import SECRET
from tests.inbox.test_inbox_login import Provider, log_in, provider  # noqa: F401 - a fixture
from tests.inbox.visitor import visiting, words

RULES = """
approvals:
  groups: {finance: [cy@example.com]}
  routes:
    - {id: two, tool: pay, need: [finance, payers], verified: true}
rules:
  - {id: pay, point: tool_call, tool: pay, when: "true", verdict: ask, reason: Somebody looks at payments.}
"""


@tool("once", returns="trusted", accepts="external")
def pay(cents: int) -> str:
    """Pay."""
    return f"paid {cents}"


async def test_by_login_and_by_link(mainspring: Bench, provider: Provider, tmp_path: Any):  # noqa: F811 - the fixture
    """One of each: a role that the provider tells, and a group of the rule file; the run says who they were."""
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    agent = Agent("desk", instructions="Pay.", tools=[pay], rules=path)
    run: TestRun = await mainspring.start(agent, "Pay.", model=ScriptedModel(call("pay", cents=5), say("Done.")))
    (request,) = await run.waiting()
    settings = mainspring.settings()
    app = make_app(
        mainspring.client,
        Oidc(provider.issuer, "the-inbox", "a secret", roles="groups"),
        url="http://127.0.0.1",
        secret=SECRET,
        sign=partial(sign_in, open_keys(settings)),
        verifier=open_own_verifier(settings),
    )

    async with visiting(app) as ada:
        at = f"/requests/default/{run.handle.id}/1"
        await log_in(ada, provider, email="ada@example.com", sub="a-1", groups=["payers"])
        recorded = await ada.press(await ada.open(at), "approve")
    assert "1 of 2 who must agree. Still needed: finance." in words(recorded)

    token = open_keys(settings).sign("cy@example.com", binding=request.binding, now=time.time(), seconds=60.0)
    async with visiting(app) as cy:
        at = f"/link/default/{run.handle.id}/1"
        page = await cy.open(f"{at}?t={token}")
        assert "verified: ada@example.com via mainspring" in words(page)
        await cy.press(page, "approve", path=at)
    assert (await run.result()).answer == "Done."
