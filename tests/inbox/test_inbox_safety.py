"""What stands between the network and the inbox: forged forms, foreign names, floods, and texts that are not ours."""

import re
from datetime import timedelta

import hypothesis
import pytest
from hypothesis import strategies as st

from mainspring.core.words import request_path
from mainspring.errors import TokenError
from mainspring.inbox.app import make_app
from mainspring.inbox.people import Local, Oidc
from mainspring.inbox.rendering import render, visible
from mainspring.inbox.sessions import safe_next
from mainspring.ports.verifier import Verifier
from mainspring.testing.bench import Bench
from tests.inbox.asked import asked
from tests.inbox.conftest import SECRET, Ask, local
from tests.inbox.visitor import Visitor, hidden, visiting, words

PROVIDER = Oidc("https://login.example.com", "inbox", "not to be told")


class OneToken(Verifier):
    """Knows one token, for one request."""

    async def verify(self, token: str, *, binding: str, form: str, now: float):
        from mainspring.core.approvals import Verified

        if (token, binding) != ("the-token", "binding-1"):
            raise TokenError("the signature does not fit.")
        return Verified(person="cy@example.com")


@pytest.mark.parametrize("path", ["/", "/decisions", "/nothing", "/login"])
async def test_every_page_forbids_what_it_does_not_need(ada: Visitor, path: str):
    """No page runs a script, is framed, is kept by a browser or tells another site where somebody came from."""
    headers = (await ada.open(path)).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"


async def test_no_page_has_a_script_or_a_style_of_its_own(ada: Visitor, ask: Ask):
    """All of a page's looks come from one file, and nothing of it runs."""
    run = await ask(asked())

    page = await ada.open(f"/requests/default/{run.id}/1")

    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", page.text)


@pytest.mark.parametrize("given", [None, "", "x" * 32, "ä"])
async def test_a_form_needs_the_token_of_its_session(ada: Visitor, ask: Ask, given: str | None):
    """A form that another site made up is refused in words, and nothing is sent."""
    run = await ask(asked())
    path = f"/requests/default/{run.id}/1"
    fields = hidden(await ada.open(path)) | {"do": "approve"}
    fields.pop("csrf")

    refused = await ada.http.post(path, data=fields | ({} if given is None else {"csrf": given}))

    assert refused.status_code == 403
    assert "does not belong to your session" in words(refused)
    assert await run.query("forms") == []


async def test_a_token_is_of_one_session(mainspring: Bench, ask: Ask):
    """The token of one browser is none in another."""
    run = await ask(asked())
    path, app = f"/requests/default/{run.id}/1", local(mainspring.client)

    async with visiting(app) as ada, visiting(app) as eve:
        theirs = hidden(await ada.open(path))
        await eve.open(path)
        refused = await eve.http.post(path, data=theirs | {"do": "approve"})

    assert refused.status_code == 403


async def test_cookies_are_kept_from_scripts_and_other_sites(mainspring: Bench, ask: Ask):
    """The session's cookie is HttpOnly and SameSite, and with https it is for https and this host alone."""
    run = await ask(asked())
    path = f"/requests/default/{run.id}/1"

    async with visiting(local(mainspring.client)) as plain:
        cookie = (await plain.open(path)).headers["set-cookie"].lower()
    app = make_app(mainspring.client, PROVIDER, url="https://inbox.example.com", secret=SECRET)
    async with visiting(app, "https://inbox.example.com") as secure:
        other = (await secure.open("/login")).headers["set-cookie"].lower()

    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert other.startswith("__host-mainspring-inbox=")
    assert "secure" in other


async def test_a_forged_cookie_is_nobody(mainspring: Bench):
    """Who changes the cookie is not logged in."""
    from base64 import b64encode

    app = make_app(mainspring.client, PROVIDER, url="http://127.0.0.1", secret=SECRET)
    forged = b64encode(b'{"person": ["ada@example.com", [], ""], "until": 9e9}').decode()

    async with visiting(app) as eve:
        page = await eve.open("/", headers={"cookie": f"mainspring-inbox={forged}.aaaaaa.bbbbbb"})

    assert (page.status_code, page.headers["location"]) == (303, "/login?next=%2F")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "evil.example:127.0.0.1"])
async def test_it_answers_to_its_own_names(ada: Visitor, host: str):
    """A name of another site that leads here (DNS rebinding) is answered with a refusal."""
    page = await ada.open("/", headers={"host": host})

    assert page.status_code == 400
    assert "not known by that name" in words(page)


async def test_who_asks_too_often_waits(mainspring: Bench):
    """Past the limit of an address there is a page that says so, and when to come back."""
    async with visiting(local(mainspring.client, by_address="3/minute")) as ada:
        pages = [await ada.open("/nothing") for _ in range(5)]

    assert [page.status_code for page in pages] == [404, 404, 404, 429, 429]
    assert "too often" in words(pages[-1])
    assert pages[-1].headers["retry-after"] == "60"


async def test_a_form_has_bounds(ada: Visitor, ask: Ask):
    """More than a form may hold is refused, whether its size is told or not."""
    run = await ask(asked())
    path = f"/requests/default/{run.id}/1"
    form = {"content-type": "application/x-www-form-urlencoded"}

    async def endless():
        for _ in range(600):
            yield b"a" * 1024

    told = await ada.http.post(path, content=b"own=" + b"a" * 300_000, headers=form)
    untold = await ada.http.post(path, content=endless(), headers=form)
    other = await ada.http.post(path, content=b"{}", headers={"content-type": "application/json"})

    assert (told.status_code, untold.status_code, other.status_code) == (413, 413, 400)
    assert "256 KiB" in words(told)


@pytest.mark.parametrize(
    "path", ["//evil.example", "/\\evil.example", "https://evil.example/", "evil", "", "javascript:1", "/a\nb", "/\t/x"]
)
def test_a_login_leads_to_pages_of_the_inbox(path: str):
    """After the login nobody is sent to another site."""
    assert safe_next(path) == "/"


@hypothesis.given(st.text())
def test_whatever_comes_next_stays_here(path: str):
    """However an address is written, it leads to a path of this host or to the first page."""
    from urllib.parse import urljoin, urlsplit

    assert urlsplit(urljoin("http://inbox.example/", safe_next(path).replace("\\", "/"))).netloc == "inbox.example"


@hypothesis.given(st.text())
def test_text_of_others_is_escaped(text: str):
    """Whatever somebody wrote, a page has no tag that the template has not, and nothing invisible."""
    about = {"person": None, "here": "/", "namespace": "default", "title": "Not there", "is_local": True, "csrf": ""}

    plain = bytes(render("error.html", **about, sentence="").body).decode()
    page = bytes(render("error.html", **about, sentence=text).body).decode()

    assert re.findall(r"<[^>]*>", page) == re.findall(r"<[^>]*>", plain)
    assert all(each.isprintable() or each in "\n\t" for each in visible(text))


@hypothesis.given(st.text(min_size=1).filter(lambda run: run not in (".", "..")))
def test_a_run_has_one_address(run: str):
    """Whatever a workflow id holds, its address is one path, with the id in one piece."""
    from urllib.parse import unquote, urlsplit

    path = urlsplit(request_path("default", run, "1")).path

    assert unquote(path) == f"/requests/default/{run}/1"
    assert path.count("/") == 4


async def test_a_link_shows_its_request_and_decides_it(mainspring: Bench, ask: Ask):
    """Who has the link of a mail sees that request without a login, and the decision carries that very token."""
    run = await ask(asked())
    app = make_app(mainspring.client, PROVIDER, url="http://127.0.0.1", secret=SECRET, verifier=OneToken())

    async with visiting(app) as cy:
        page = await cy.open(f"/link/default/{run.id}/1?t=the-token")
        after = await cy.press(page, "approve", path=f"/link/default/{run.id}/1")

    assert "May issue_refund run?" in words(page)
    assert "the person whom the link was sent to" in words(after)
    assert await run.result() == [["approve", {"request": "1", "token": "the-token"}]]


@pytest.mark.parametrize("token", ["", "another"])
async def test_a_link_that_does_not_hold_shows_nothing(mainspring: Bench, ask: Ask, token: str):
    """Without its token, or with another, the request's page says no word of it."""
    run = await ask(asked())
    app = make_app(mainspring.client, PROVIDER, url="http://127.0.0.1", secret=SECRET, verifier=OneToken())

    async with visiting(app) as eve:
        page = await eve.open(f"/link/default/{run.id}/1?t={token}")

    assert page.status_code == 403
    assert "issue_refund" not in page.text


async def test_a_link_needs_a_login_where_nobody_checks_it(mainspring: Bench, ask: Ask):
    """Where the inbox cannot tell a token from a made-up one, it shows the request to known people only."""
    run = await ask(asked())
    app = make_app(mainspring.client, PROVIDER, url="http://127.0.0.1", secret=SECRET)

    async with visiting(app) as eve:
        page = await eve.open(f"/link/default/{run.id}/1?t=x")

    assert page.status_code == 303
    assert page.headers["location"].startswith("/login?")


async def test_a_mistake_of_ours_is_told_in_words(mainspring: Bench, caplog: pytest.LogCaptureFixture):
    """A page that fails says so with all headers, and the log has the kind of the mistake but not its text."""

    def broken() -> float:
        raise RuntimeError("the customer's name")

    app = make_app(mainspring.client, Local("ada"), url="http://127.0.0.1", secret=SECRET)
    app.router.routes[0].app = None  # type: ignore[attr-defined] - what no page does
    async with visiting(app) as ada:
        page = await ada.open("/")

    assert page.status_code == 500
    assert "The inbox made a mistake." in words(page)
    assert page.headers["x-frame-options"] == "DENY"
    assert "TypeError at" in caplog.text
    assert "NoneType" not in caplog.text


async def test_a_session_ends_at_its_time(mainspring: Bench, ask: Ask):
    """However much somebody does, the session ends its hours after the login, and what they typed is given back."""
    from mainspring.inbox.people import Person
    from mainspring.inbox.sessions import log_in

    run = await ask(asked())
    clock = [1000.0]
    hours = timedelta(hours=8)
    app = make_app(
        mainspring.client, PROVIDER, url="http://127.0.0.1", secret=SECRET, session=hours, now=lambda: clock[0]
    )

    async def enter(visit):
        from starlette.responses import PlainTextResponse

        log_in(visit, Person("ada@example.com"), clock[0] + hours.total_seconds())
        return PlainTextResponse("in")

    app.add_route("/enter", enter)
    async with visiting(app) as ada:
        await ada.open("/enter")
        page = await ada.open(f"/requests/default/{run.id}/1")
        clock[0] += hours.total_seconds() - 1
        still = await ada.open(f"/requests/default/{run.id}/1")
        clock[0] += 1
        late = await ada.press(page, "deny", own="so carefully written")

    assert (page.status_code, still.status_code, late.status_code) == (200, 200, 401)
    assert "so carefully written" in words(late)
    assert await run.query("forms") == []
