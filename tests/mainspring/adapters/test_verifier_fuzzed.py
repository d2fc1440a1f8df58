"""Whatever is sent as a token: it is refused as such, or it is one that was signed."""

import asyncio
import base64
import json
import string
from collections.abc import Coroutine
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.adapters.verifier import TokenVerifier, open_verifier
from mainspring.core.approvals import Verified
from mainspring.core.tokens import LARGEST
from mainspring.errors import TokenError
from mainspring.testing.verifier_contract import BINDING, FORM, NOW
from tests.mainspring.adapters.idp import claims, make, public, sign

ALGS = ("EdDSA", "ES256", "RS256")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
SEGMENT = st.text(string.ascii_letters + string.digits + "-_", max_size=60)
CLAIMS = st.sampled_from(["iss", "aud", "sub", "iat", "exp", "nbf", "jti", "nonce", "form", "roles", "azp", "email"])


@cache
def keys() -> tuple[dict[str, Any], ...]:
    """One key of each kind."""
    return tuple(make(alg) for alg in ALGS)


@cache
def verifier() -> TokenVerifier:
    """One that trusts them, as the engine's own: in memory, and valid for as long as they say."""
    return open_verifier([], lambda: [public(key) for key in keys()])


@cache
def good(which: int) -> str:
    """A token that is believed."""
    return sign(keys()[which], claims(iss="mainspring"), ALGS[which])


def run(verifying: Coroutine[Any, Any, Verified]) -> Verified | None:
    """What was believed; None where it was refused with a `TokenError`. Anything else fails the test."""
    try:
        return asyncio.run(verifying)
    except TokenError:
        return None


def believed(token: str) -> Verified | None:
    """What is believed of a token now."""
    return run(verifier().verify(token, binding=BINDING, form=FORM, now=NOW))


@pytest.mark.parametrize("which", range(len(ALGS)))
def test_what_is_mutated_is_believed(which: int) -> None:
    """The tokens that are changed below are good ones."""
    assert believed(good(which))


@given(st.text())
def test_any_text(text: str) -> None:
    """No text is believed, and none makes anything else than a refusal."""
    assert believed(text) is None


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Nor any bytes, as whoever sends them may read them."""
    assert believed(data.decode("latin-1")) is None


@given(st.lists(SEGMENT, max_size=5))
def test_anything_with_dots(parts: list[str]) -> None:
    """Nor what looks like a token."""
    assert believed(".".join(parts)) is None


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@given(JSON, JSON, SEGMENT)
def test_any_json(header: Any, payload: Any, signature: str) -> None:
    """Nor a token of any other content."""
    assert believed(f"{_encoded(header)}.{_encoded(payload)}.{signature}") is None


@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c"]), JSON), st.integers(0, 2)
)
def test_any_header(header: dict[str, Any], which: int) -> None:
    """Nor one with another header."""
    real = {"alg": ALGS[which], "kid": keys()[which]["kid"], **header}
    _, payload, signature = good(which).split(".")

    assert believed(f"{_encoded(real)}.{payload}.{signature}") is None


@settings(max_examples=150)
@given(st.data())
def test_any_mutation(data: st.DataObject) -> None:
    """A token of which some signs were changed, taken out, put in or repeated is not believed."""
    token = good(data.draw(st.integers(0, 2)))
    start = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(start, min(len(token), start + 8)))
    between = data.draw(st.text(string.ascii_letters + string.digits + "-_.=+/ \n", max_size=8) | st.text(max_size=3))
    mutated = token[:start] + between + token[end:]

    assert mutated == token or believed(mutated) is None


@given(st.dictionaries(CLAIMS, JSON))
def test_any_claims_that_were_signed(changes: dict[str, Any]) -> None:
    """Even of a signed one, only the wanted request by somebody with a name is believed."""
    said = claims(iss="mainspring") | changes
    found = believed(sign(keys()[0], json.dumps(said).encode()))

    if found:
        assert said["nonce"] == BINDING
        assert said.get("form", FORM) == FORM
        assert found.person == said["sub"] != ""
        assert all(isinstance(role, str) for role in found.roles)


@given(st.binary(max_size=200))
def test_any_payload_that_was_signed(payload: bytes) -> None:
    """A signed payload that is no object of claims is no token."""
    assert believed(sign(keys()[0], payload)) is None


@pytest.mark.parametrize("depth", [50, 5000])
def test_deep(depth: int) -> None:
    """How deep a payload is nested does not matter, nor does a number that nobody can read."""
    assert believed(sign(keys()[0], b"[" * depth + b"]" * depth)) is None
    assert believed(sign(keys()[0], b'{"iss": ' + b"9" * depth + b"}")) is None


def test_size() -> None:
    """The longest token that is read, and one sign more."""
    token = sign(keys()[0], claims(iss="mainspring", more="x" * 11_000))
    room = LARGEST - len(token)
    largest = sign(keys()[0], claims(iss="mainspring", more="x" * (11_000 + room * 3 // 4)))

    assert LARGEST - 4 < len(largest) <= LARGEST
    assert believed(largest)
    with pytest.raises(TokenError, match="longer than 16 KiB"):
        asyncio.run(verifier().verify("A" * (LARGEST + 1), binding=BINDING, form=FORM, now=NOW))
