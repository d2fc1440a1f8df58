"""Tokens that say who decides: what is believed, and every way to lie that we know of.

The verifier has no account of what it has seen. That a token which was used is of no use again is the run's affair: it
counts nobody twice, and refuses a token id that it knows.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.approval_keys import (
    ApprovalKeys,
    make_personal_key,
    open_approval_keys,
    read_personal_key,
    sign_as,
    trust,
)
from mainspring.adapters.verifier import TokenVerifier, open_verifier
from mainspring.core.tokens import Approver
from mainspring.ports.verifier import Verifier
from mainspring.testing.contracts import VerifierContract
from mainspring.testing.verifier_contract import BINDING, DAY, FORM, NOW, Issue, refused
from tests.mainspring.adapters.idp import ISSUER, KINDS, claims, make, public, sign


def trusting(folder: Path, *keys: dict[str, Any], **table: str) -> TokenVerifier:
    """A verifier that trusts an identity provider with these keys."""
    file = folder / "idp.json"
    file.write_text(json.dumps({"keys": [public(key) for key in keys]}))
    return open_verifier([Approver(issuer=ISSUER, keys=str(file), **table)])


async def who(verifier: Verifier, token: str) -> tuple[str, tuple[str, ...], str]:
    """Whom a verifier takes a token for."""
    said = await verifier.verify(token, binding=BINDING, form=FORM, now=NOW)
    return said.person, said.roles, said.issuer


@pytest.fixture
def key() -> dict[str, Any]:
    """The identity provider's key."""
    return make()


@pytest.fixture
def idp(tmp_path: Path, key: dict[str, Any]) -> TokenVerifier:
    """A verifier that trusts it."""
    return trusting(tmp_path, key)


class TestIdentityProvider(VerifierContract):
    """Tokens of an identity provider."""

    @pytest.fixture
    def verifier(self, idp: TokenVerifier) -> Verifier:
        return idp

    @pytest.fixture
    def issue(self, key: dict[str, Any]) -> Issue:
        def issue(*, binding: str, now: float, seconds: float, form: str | None = None) -> str:
            said = claims(nonce=binding, iat=int(now), exp=int(now + seconds), form=form, jti=f"at {now}")
            return sign(key, said)

        return issue


class TestPersonalKeys(VerifierContract):
    """Tokens that people sign with a key of their own."""

    @pytest.fixture
    def owned(self, tmp_path: Path) -> Path:
        shown = make_personal_key(tmp_path / "ada.json", "ada@example.com", ("finance",))
        trust(tmp_path / "team.json", shown)
        return tmp_path / "ada.json"

    @pytest.fixture
    def verifier(self, owned: Path) -> Verifier:
        return open_verifier([Approver(keys=str(owned.with_name("team.json")))])

    @pytest.fixture
    def issue(self, owned: Path) -> Issue:
        def issue(*, binding: str, now: float, seconds: float, form: str = "") -> str:
            return sign_as(read_personal_key(owned), binding=binding, form=form, now=now, seconds=seconds)

        return issue


class TestOwnKeys(VerifierContract):
    """Tokens that the engine signs for who logged in."""

    @pytest.fixture
    def keys(self, tmp_path: Path) -> ApprovalKeys:
        return open_approval_keys(tmp_path / "own.json")

    @pytest.fixture
    def verifier(self, keys: ApprovalKeys) -> Verifier:
        return open_verifier([], keys.public)

    @pytest.fixture
    def issue(self, keys: ApprovalKeys) -> Issue:
        def issue(*, binding: str, now: float, seconds: float, form: str = "") -> str:
            return keys.sign("ada@example.com", binding=binding, now=now, seconds=seconds, form=form)

        return issue

    async def test_roles(self, keys: ApprovalKeys, verifier: Verifier) -> None:
        """The roles that somebody logged in with are signed for, and last as long as is said."""
        token = keys.sign("ada@example.com", binding=BINDING, now=NOW, seconds=7 * DAY, roles=("finance",))

        assert await who(verifier, token) == ("ada@example.com", ("finance",), "mainspring")


@pytest.mark.parametrize("alg", KINDS)
async def test_every_way_to_sign_with_a_pair(alg: str, tmp_path: Path):
    """Tokens may be signed with keys of every usual kind, and the person and roles are as the token says."""
    key = make(alg)

    found = await who(trusting(tmp_path, key), sign(key, claims(), alg))

    assert found == ("ada@example.com", ("finance",), ISSUER)


async def test_claims_with_other_names(tmp_path: Path, key: dict[str, Any]):
    """The settings say which claims hold the person and the roles, also within an object, and for whom tokens are."""
    table = {"audience": "client-7", "person": "preferred_username", "roles": "realm_access.roles"}
    token = sign(
        key, claims(aud=["client-7"], sub="0815", preferred_username="ada", realm_access={"roles": ["a", 3, "b", "a"]})
    )

    assert await who(trusting(tmp_path, key, **table), token) == ("ada", ("a", "b"), ISSUER)


async def test_a_claim_whose_name_has_dots(tmp_path: Path, key: dict[str, Any]):
    """A claim that is named like an address is taken by its whole name; one text is one role."""
    verifier = trusting(tmp_path, key, roles="https://example.com/roles")

    assert (await who(verifier, sign(key, claims(**{"https://example.com/roles": "finance"}))))[1] == ("finance",)


async def test_a_token_without_an_id(idp: TokenVerifier, key: dict[str, Any]):
    """ID tokens need not have one: then what was signed is the id, the same each time."""
    first = await idp.verify(sign(key, claims(jti=None)), binding=BINDING, form=FORM, now=NOW)
    again = await idp.verify(sign(key, claims(jti=None)), binding=BINDING, form=FORM, now=NOW)
    other = await idp.verify(sign(key, claims(jti=None, iat=NOW - 1)), binding=BINDING, form=FORM, now=NOW)

    assert first.token == again.token != other.token
    assert len(first.token) == 32


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "https://evil.example.com"}, "of no issuer that is trusted"),
        ({"iss": None}, "of no issuer that is trusted"),
        ({"iss": [ISSUER]}, "of no issuer that is trusted"),
        ({"aud": "another"}, "for another audience"),
        ({"aud": None}, "for another audience"),
        ({"aud": {"mainspring": 1}}, "for another audience"),
        ({"aud": ["mainspring", "another"]}, "for another audience"),
        ({"aud": ["mainspring", "another"], "azp": "another"}, "for another audience"),
        ({"nonce": None}, "for another request, or for other arguments"),
        ({"nonce": [BINDING]}, "for another request, or for other arguments"),
        ({"nonce": BINDING + "0"}, "for another request, or for other arguments"),
        ({"nonce": "\ud800"}, "for another request, or for other arguments"),
        ({"form": ""}, "for another decision"),
        ({"form": [FORM]}, "for another decision"),
        ({"exp": None}, "does not say until when"),
        ({"exp": "2099-01-01"}, "does not say until when"),
        ({"exp": True}, "does not say until when"),
        ({"exp": int(NOW) - 61}, "has expired"),
        ({"exp": int(NOW) + 86_401 + 300}, "longer than a day"),
        ({"exp": 10**300}, "longer than a day"),
        ({"exp": 1e300}, "longer than a day"),
        ({"iat": None}, "does not say when it was made"),
        ({"iat": "now"}, "does not say when it was made"),
        ({"iat": int(NOW) + 61}, "is not valid yet"),
        ({"iat": -(10**300)}, "longer than a day"),
        ({"nbf": int(NOW) + 61}, "is not valid yet"),
        ({"nbf": "soon"}, "does not say from when"),
        ({"sub": None}, "names no person"),
        ({"sub": ""}, "names no person"),
        ({"sub": 7}, "names no person"),
        ({"sub": "ada\n@example.com"}, "names no person"),
        ({"sub": "a" * 257}, "names no person"),
    ],
)
async def test_what_a_token_must_say(changes: dict[str, Any], why: str, idp: TokenVerifier, key: dict[str, Any]):
    """A token that says anything else than it must is refused, and the refusal says what, not how."""
    await refused(idp, sign(key, claims(**changes)), why)


async def test_not_a_number(idp: TokenVerifier, key: dict[str, Any]):
    """A time that is no number, as lenient JSON has it, is no time."""
    said = json.dumps(claims(exp=float("nan"))).encode()

    await refused(idp, sign(key, said), "does not say until when")


async def test_an_address_that_nobody_checked(tmp_path: Path, key: dict[str, Any]):
    """Where a mail address is who somebody is, the issuer must have checked it, if it says whether it has."""
    verifier = trusting(tmp_path, key, person="email")
    said = {"sub": "0815", "email": "ada@example.com"}

    await refused(verifier, sign(key, claims(**said, email_verified=False)), "names no person")
    assert (await who(verifier, sign(key, claims(**said, email_verified=True))))[0] == "ada@example.com"


async def test_another_key_under_the_same_id(idp: TokenVerifier, key: dict[str, Any]):
    """Who makes a key and gives it the id of a trusted one has not the trusted one."""
    await refused(idp, sign(make(kid=key["kid"]), claims()), "forged: its signature does not fit")


async def test_the_key_in_the_token(idp: TokenVerifier):
    """A key that comes with the token is not looked at."""
    key = make()
    token = sign(key, claims(), jwk=public(key), jku="https://evil.example.com/keys")

    await refused(idp, token, "signed with a key that is not trusted")


async def test_a_key_of_another_issuer(tmp_path: Path, key: dict[str, Any]):
    """A key is good for tokens of its own issuer only."""
    other = make()
    (tmp_path / "other.json").write_text(json.dumps({"keys": [public(other)]}))
    trusting(tmp_path, key)
    verifier = open_verifier(
        [
            Approver(issuer=ISSUER, keys=str(tmp_path / "idp.json")),
            Approver(issuer="https://other.example.com", keys=str(tmp_path / "other.json")),
        ]
    )

    await refused(verifier, sign(other, claims()), "signed with a key that is not trusted")


async def test_no_signature(idp: TokenVerifier, key: dict[str, Any]):
    """The algorithm `none` proves nothing, with or without something where the signature would be."""
    token = sign({}, claims(), "none", kid=key["kid"])

    await refused(idp, token, "no token (JWT)")
    await refused(idp, f"{token}AAAA", "forged: it is not signed with a key pair")


@pytest.mark.parametrize("alg", ["EdDSA", "ES256", "RS256"])
async def test_the_public_key_as_a_secret(alg: str, tmp_path: Path):
    """Who has the public key cannot sign with it as if it were a secret both sides know."""
    key = make(alg)
    secrets = [json.dumps(public(key)).encode(), str(key.get("x", key.get("n"))).encode()]

    for secret in secrets:
        token = sign(secret, claims(), "HS256", kid=key["kid"])
        await refused(trusting(tmp_path, key), token, "forged: it is not signed with a key pair")


@pytest.mark.parametrize(("signs", "says"), [("RS256", "PS256"), ("ES256", "EdDSA"), ("EdDSA", "RS256")])
async def test_another_way_than_it_says(signs: str, says: str, tmp_path: Path):
    """A token that says it is signed in another way than it is, is refused."""
    key = make(signs)
    head, payload, signature = sign(key, claims(), signs).split(".")
    other = sign(make(says), claims(), says, kid=key["kid"]).split(".")[0]

    await refused(trusting(tmp_path, key), f"{other}.{payload}.{signature}", "The token is forged")
    assert head != other


async def test_a_key_that_is_for_one_way(tmp_path: Path):
    """A key that says how it signs is not used in another way."""
    key = make("RS256", alg="RS256")

    await refused(
        trusting(tmp_path, key), sign({**key, "alg": "PS256"}, claims(), "PS256"), "does not sign in this way"
    )


async def test_a_changed_payload(idp: TokenVerifier, key: dict[str, Any]):
    """The signature of one token does not make another true."""
    head, _, signature = sign(key, claims()).split(".")
    payload = sign(key, claims(sub="eve@example.com")).split(".")[1]

    await refused(idp, f"{head}.{payload}.{signature}", "forged: its signature does not fit")


async def test_a_header_that_is_critical(idp: TokenVerifier, key: dict[str, Any]):
    """A token that says it must be read in a way of its own is none that we can read."""
    await refused(idp, sign(key, claims(), crit=["kid"]), "no token (JWT)")


async def test_keys_that_are_no_use(tmp_path: Path, key: dict[str, Any]):
    """A set may hold keys that are for something else, too weak, or of a kind nobody knows; they are passed over."""
    weak = {"kty": "RSA", "kid": "weak", "n": "AQAB" * 20, "e": "AQAB"}
    others = [{"kty": "AKP", "kid": "new"}, {"kty": "oct", "kid": "k", "k": "c2VjcmV0"}, {"kty": "EC"}, weak]
    file = tmp_path / "idp.json"
    file.write_text(json.dumps({"keys": [each for each in others if "k" not in each] + [public(key)]}))
    verifier = open_verifier([Approver(issuer=ISSUER, keys=str(file))])

    assert (await who(verifier, sign(key, claims())))[0] == "ada@example.com"
    await refused(verifier, sign(key, claims(), kid="weak"), "not trusted")


async def test_a_key_for_encrypting(tmp_path: Path):
    """A key that is for something else than signing is not trusted for signing."""
    key = make(use="enc")

    await refused(trusting(tmp_path, key), sign({**key, "use": "sig"}, claims()), "not trusted")


async def test_a_token_that_names_no_key(tmp_path: Path):
    """Then each key of its issuer is tried."""
    keys = [make(), make("ES256"), make()]

    assert await who(trusting(tmp_path, *keys), sign(keys[2], claims(), kid=None))
    await refused(trusting(tmp_path, *keys[:2]), sign(keys[2], claims(), kid=None), "forged")


class TestOwners:
    """Who a personal key is, is what the team's file says, never what its owner writes into a token."""

    @pytest.fixture
    def ada(self) -> dict[str, Any]:
        return make(sub="ada@example.com", roles=["finance"])

    @pytest.fixture
    def team(self, tmp_path: Path, ada: dict[str, Any]) -> TokenVerifier:
        (tmp_path / "team.json").write_text(json.dumps({"keys": [public(ada), public(make(sub="bob@example.com"))]}))
        return open_verifier([Approver(keys=str(tmp_path / "team.json"))])

    async def test_another_person(self, team: TokenVerifier, ada: dict[str, Any]):
        """Nobody signs as somebody else."""
        token = sign(ada, claims(iss="mainspring:key", sub="bob@example.com"))

        await refused(team, token, "forged: it names somebody else than the owner of its key")

    async def test_other_roles(self, team: TokenVerifier, ada: dict[str, Any]):
        """Nobody gives themselves a role."""
        token = sign(ada, claims(iss="mainspring:key", roles=["board"]))

        assert await who(team, token) == ("ada@example.com", ("finance",), "mainspring:key")

    async def test_as_an_issuer(self, tmp_path: Path, ada: dict[str, Any], key: dict[str, Any]):
        """Nobody speaks for an identity provider, or for the engine."""
        (tmp_path / "team.json").write_text(json.dumps({"keys": [public(ada)]}))
        (tmp_path / "idp.json").write_text(json.dumps({"keys": [public(key)]}))
        own = open_approval_keys(tmp_path / "own.json")
        files = [
            Approver(keys=str(tmp_path / "team.json")),
            Approver(issuer=ISSUER, keys=str(tmp_path / "idp.json")),
        ]
        verifier = open_verifier(files, own.public)

        for issuer in (ISSUER, "mainspring"):
            await refused(verifier, sign(ada, claims(iss=issuer)), "signed with a key that is not trusted")

    async def test_for_long(self, team: TokenVerifier, ada: dict[str, Any]):
        """Nobody makes a token that is good for more than a day."""
        token = sign(ada, claims(iss="mainspring:key", exp=int(NOW) + 100_000))

        await refused(team, token, "longer than a day")
