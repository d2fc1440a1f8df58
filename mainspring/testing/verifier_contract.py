"""The conformance suite of the verifier port, for `mainspring.testing.contracts`. Test side only."""

# ruff: noqa: S101 - a suite is made of assertions

from collections.abc import Callable

import pytest

from mainspring.core.approvals import form_digest
from mainspring.errors import TokenError
from mainspring.ports.verifier import Verifier

NOW = 1_700_000_000.0
MINUTE = 60.0
DAY = 86_400.0
BINDING, OTHER = "0" * 32, "1" * 32
FORM, OTHER_FORM = form_digest("approve", {}), form_digest("deny", {})

Issue = Callable[..., str]


class VerifierContract:
    """What every `Verifier` must do. Override `verifier`, and `issue` with what makes a token that it trusts."""

    @pytest.fixture
    def verifier(self) -> Verifier:
        """The verifier to test."""
        raise NotImplementedError("override the fixture `verifier` with the verifier to test")

    @pytest.fixture
    def issue(self) -> Issue:
        """Makes a token for `ada@example.com`: `issue(binding=…, form="", now=…, seconds=…)`.

        It is valid for so many `seconds` from `now`; without `form` it has no such claim.
        """
        raise NotImplementedError("override the fixture `issue` with what makes a token that is trusted")

    async def test_says_who(self, verifier: Verifier, issue: Issue) -> None:
        """A token says whom it speaks for, who says so, and which token it is."""
        token = issue(binding=BINDING, now=NOW, seconds=5 * MINUTE)
        said = await verifier.verify(token, binding=BINDING, form=FORM, now=NOW)
        assert said.person == "ada@example.com"
        assert said.issuer
        assert said.token

    async def test_the_same_again(self, verifier: Verifier, issue: Issue) -> None:
        """The same token says the same again, and has the same id, by which a run knows it; another has another."""
        token = issue(binding=BINDING, now=NOW, seconds=5 * MINUTE)
        first = await verifier.verify(token, binding=BINDING, form=FORM, now=NOW)
        assert await verifier.verify(token, binding=BINDING, form=FORM, now=NOW + MINUTE) == first
        second = issue(binding=BINDING, now=NOW + MINUTE, seconds=5 * MINUTE)
        other = await verifier.verify(second, binding=BINDING, form=FORM, now=NOW + MINUTE)
        assert other.token != first.token

    async def test_of_this_form(self, verifier: Verifier, issue: Issue) -> None:
        """A token that names what is decided decides that."""
        token = issue(binding=BINDING, form=FORM, now=NOW, seconds=5 * MINUTE)
        assert await verifier.verify(token, binding=BINDING, form=FORM, now=NOW)

    async def test_of_another_form(self, verifier: Verifier, issue: Issue) -> None:
        """And nothing else."""
        token = issue(binding=BINDING, form=FORM, now=NOW, seconds=5 * MINUTE)
        await refused(verifier, token, "for another decision", form=OTHER_FORM)

    async def test_of_another_request(self, verifier: Verifier, issue: Issue) -> None:
        """A token decides the request that it names, with the arguments that it had, and no other."""
        token = issue(binding=BINDING, now=NOW, seconds=5 * MINUTE)
        await refused(verifier, token, "for another request, or for other arguments", binding=OTHER)

    async def test_of_no_request(self, verifier: Verifier, issue: Issue) -> None:
        """Where a request cannot be named, no token decides it."""
        token = issue(binding="", now=NOW, seconds=5 * MINUTE)
        await refused(verifier, token, "for another request", binding="")

    async def test_expired(self, verifier: Verifier, issue: Issue) -> None:
        """A token is of no use after its time, but for a minute by which clocks may differ."""
        token = issue(binding=BINDING, now=NOW, seconds=5 * MINUTE)
        assert await verifier.verify(token, binding=BINDING, form=FORM, now=NOW + 5.5 * MINUTE)
        await refused(verifier, token, "has expired", now=NOW + 6 * MINUTE + 1)

    async def test_not_valid_yet(self, verifier: Verifier, issue: Issue) -> None:
        """Nor before it."""
        token = issue(binding=BINDING, now=NOW, seconds=5 * MINUTE)
        assert await verifier.verify(token, binding=BINDING, form=FORM, now=NOW - 0.5 * MINUTE)
        await refused(verifier, token, "is not valid yet", now=NOW - 2 * MINUTE)

    async def test_changed(self, verifier: Verifier, issue: Issue) -> None:
        """A token of which any sign was changed is refused."""
        token = issue(binding=BINDING, now=NOW, seconds=5 * MINUTE)
        for at in range(0, len(token), 7):
            other = "A" if token[at] != "A" else "B"
            await refused(verifier, token[:at] + other + token[at + 1 :], "")

    @pytest.mark.parametrize("text", ["", " ", ".", "..", "a.b.c", "\0", "\ud800", "e30.e30.e30", "e30.e30.", "[]"])
    async def test_no_token(self, verifier: Verifier, text: str) -> None:
        """What is no token is refused as such."""
        await refused(verifier, text, "no token (JWT)")

    async def test_too_large(self, verifier: Verifier, issue: Issue) -> None:
        """What is far too long to be one is not looked at."""
        token = issue(binding=BINDING, now=NOW, seconds=5 * MINUTE)
        await refused(verifier, token + "A" * 100_000, "no token (JWT)")


async def refused(
    verifier: Verifier, token: str, why: str, *, binding: str = BINDING, form: str = FORM, now: float = NOW
) -> str:
    """Assert that a token is refused in a sentence that says why, and holds nothing of it; gives that sentence."""
    with pytest.raises(TokenError) as caught:
        await verifier.verify(token, binding=binding, form=form, now=now)
    said = str(caught.value)
    assert why in said
    assert said.endswith(".")
    assert not any(part in said for part in token.split(".") if len(part) > 8)  # noqa: PLR2004 - a sign may be in any
    assert "ada@example.com" not in said
    return said
