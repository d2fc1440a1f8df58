"""Keys in files: whole or not there, for their owner alone, and told apart in words where they are no use."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey, RSAKey

from mainspring.adapters.approval_keys import make_personal_key, open_approval_keys, read_personal_key, sign_as, trust
from mainspring.adapters.approval_keys.signing import make_key, signed
from mainspring.errors import SetupError, UsageError
from mainspring.testing.verifier_contract import BINDING, FORM, NOW
from tests.mainspring.adapters.idp import make, public


def said(token: str, key: dict[str, Any]) -> dict[str, Any]:
    """What a token says, read by another program than ours: with the public key alone."""
    with pytest.warns(match="EdDSA is deprecated"):
        return jwt.decode(token, OKPKey.import_key(key), algorithms=["EdDSA"]).claims


def test_made_once(tmp_path: Path):
    """The first worker makes the keys, and those after it have the same; they are for their owner alone."""
    file = tmp_path / "state" / "approval-keys.json"
    first = open_approval_keys(file).public()

    assert open_approval_keys(file).public() == first
    assert file.stat().st_mode & 0o077 == 0
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_made_by_several_at_once(tmp_path: Path):
    """Of workers that start together one makes the keys."""
    start = threading.Barrier(8)
    found: list[str] = []

    def work() -> None:
        start.wait()
        found.append(open_approval_keys(tmp_path / "keys.json").public()[0]["kid"])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(found) == 8
    assert len(set(found)) == 1


def test_given_keys_are_not_made(tmp_path: Path):
    """A file that was named must be there: each machine would make another one."""
    with pytest.raises(
        SetupError, match=r"given\.json' cannot be used: No such file .* 'mainspring keys rotate' makes"
    ):
        open_approval_keys(tmp_path / "given.json", make=False)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is not JSON"),
        ('{"keys": []}', "it holds no key"),
        (json.dumps({"keys": [public(make())]}), "of its key 1, it is no private Ed25519 key"),
        (json.dumps({"keys": [make(), make("ES256")]}), "of its key 2, it is no private Ed25519 key"),
        (json.dumps({"keys": [make(d="AAAA")]}), "of its key 1, it is no private Ed25519 key"),
        ("\u00e9", "it is not JSON"),
    ],
)
def test_keys_that_are_none(text: str, why: str, tmp_path: Path):
    """A file that cannot be signed with is refused, with what is wrong and nothing of what is in it."""
    file = tmp_path / "keys.json"
    file.write_text(text, encoding="latin-1")

    with pytest.raises(SetupError, match=why) as caught:
        open_approval_keys(file)
    assert "AAAA" not in str(caught.value)


def test_own_token(tmp_path: Path):
    """What the engine signs is a JWT that any program can check with the public key."""
    keys = open_approval_keys(tmp_path / "keys.json")
    token = keys.sign("ada@example.com", binding=BINDING, now=NOW + 0.9, seconds=60, roles=("a", "b"), form=FORM)

    found = said(token, keys.public()[0])

    assert len(found.pop("jti")) == 32
    assert found == {
        "iss": "mainspring",
        "aud": "mainspring",
        "sub": "ada@example.com",
        "iat": int(NOW),
        "exp": int(NOW) + 60,
        "nonce": BINDING,
        "roles": ["a", "b"],
        "form": FORM,
    }


def test_every_token_is_another(tmp_path: Path):
    """Two tokens for the same are told apart by their ids."""
    keys = open_approval_keys(tmp_path / "keys.json")
    tokens = {keys.sign("ada", binding=BINDING, now=NOW, seconds=60) for _ in range(3)}

    assert len(tokens) == 3


def test_an_id_is_no_option_of_a_command() -> None:
    """Of 64 ids one began with a dash, and could not be named on a command line."""
    assert not any(make_key()["kid"].startswith("-") for _ in range(500))


def test_two_keys_of_rsa_are_two(tmp_path: Path) -> None:
    """A key is the same where its numbers are, whatever it is called and whose it is said to be."""
    ada, bo = (RSAKey.generate_key(2048, auto_kid=True).as_dict(private=False) for _ in range(2))

    assert trust(tmp_path / "team.json", {**ada, "sub": "ada@example.com"})
    assert trust(tmp_path / "team.json", {**bo, "sub": "bo@example.com"})
    with pytest.raises(UsageError, match=r"as that of 'ada@example\.com'"):
        trust(tmp_path / "team.json", {**ada, "kid": "another", "sub": "eve@example.com"})


def test_personal_token(tmp_path: Path):
    """A personal key signs for its owner; roles are not in the token, since the team's file says them."""
    shown = make_personal_key(tmp_path / "k", "ada@example.com", ("finance",))
    token = sign_as(read_personal_key(tmp_path / "k"), binding=BINDING, form=FORM, now=NOW, seconds=300)

    found = said(token, shown)

    assert (found["iss"], found["sub"]) == ("mainspring:key", "ada@example.com")
    assert "roles" not in found


def test_a_key_under_the_id_of_another(tmp_path: Path):
    """Nobody gets into a team's file under the id of somebody's key."""
    ada = make(sub="ada")
    trust(tmp_path / "team.json", public(ada))

    with pytest.raises(UsageError, match="already, as that of 'ada'"):
        trust(tmp_path / "team.json", public(make(sub="eve", kid=ada["kid"])))


def test_errors_hold_no_key():
    """Where signing fails nothing of the key is told."""
    key = make(x="AAAA", d="geheim")

    with pytest.raises(ValueError, match=r"^it is no private Ed25519 key$") as caught:
        signed(key, {})
    assert caught.value.__cause__ is None
