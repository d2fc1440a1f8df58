"""Keys that change while the verifier works, and providers that do not answer."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.approval_keys import open_approval_keys
from mainspring.adapters.verifier import TokenVerifier, open_verifier, sources
from mainspring.adapters.verifier.sources import AGAIN, FRESH, UrlKeys
from mainspring.core.tokens import Approver
from mainspring.errors import SetupError, TokenError
from mainspring.testing.verifier_contract import BINDING, FORM, NOW, refused
from tests.mainspring.adapters.idp import ISSUER, KeyServer, claims, key_server, make, public, sign


async def accepts(verifier: TokenVerifier, token: str) -> bool:
    """Whether a token is believed."""
    return bool((await verifier.verify(token, binding=BINDING, form=FORM, now=NOW)).person)


def publish(file: Path, *keys: dict[str, Any]) -> None:
    """Put a file with other keys in its place, as an editor or a volume does."""
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps({"keys": [public(key) for key in keys]}))
    draft.replace(file)


class TestFile:
    """A file of keys is read again when it changed."""

    async def test_rotated(self, tmp_path: Path):
        """A new key is trusted at once, and one that was taken out no more."""
        old, new, file = make(), make(), tmp_path / "idp.json"
        publish(file, old)
        verifier = open_verifier([Approver(issuer=ISSUER, keys=str(file))])
        await refused(verifier, sign(new, claims()), "signed with a key that is not trusted")

        publish(file, new)

        assert await accepts(verifier, sign(new, claims()))
        await refused(verifier, sign(old, claims()), "signed with a key that is not trusted")

    async def test_changed_in_place(self, tmp_path: Path):
        """Also where the same file is written anew."""
        old, new, file = make(), make(), tmp_path / "idp.json"
        publish(file, old)
        verifier = open_verifier([Approver(issuer=ISSUER, keys=str(file))])
        file.write_text(json.dumps({"keys": [public(new)]}))
        os.utime(file, ns=(1, 1))

        assert await accepts(verifier, sign(new, claims()))

    @pytest.mark.parametrize("text", [None, "", "{", "[]", "3", '{"keys": 3}', '{"keys": [3]}', "[" * 5000, "\u00e9"])
    async def test_broken(self, text: str | None, tmp_path: Path):
        """While it cannot be read nobody is trusted, and the refusal says so; at the start that is an error."""
        key, file = make(), tmp_path / "idp.json"
        publish(file, key)
        table = [Approver(issuer=ISSUER, keys=str(file))]
        verifier = open_verifier(table)
        file.unlink() if text is None else file.write_text(text, encoding="latin-1")

        await refused(verifier, sign(key, claims()), "cannot be checked: the file of keys")
        with pytest.raises(SetupError, match=r"the file of keys .*idp\.json' cannot be used: "):
            open_verifier(table)

    @pytest.mark.parametrize(
        ("key", "why"),
        [
            (make(), "key 1 of it is a private one"),
            (public(make()), "key 1 of it names nobody: it has no member 'sub'"),
            (public(make(sub="ada", roles="finance")), "its member 'roles' is no list of names"),
            ({"kty": "OKP", "crv": "Ed25519", "x": "AA", "sub": "ada"}, "key 1 of it is no public key that signs"),
        ],
    )
    def test_personal_keys_that_are_none(self, key: dict[str, Any], why: str, tmp_path: Path):
        """A file of personal keys must say of each whose it is, and hold none that is private."""
        (tmp_path / "team.json").write_text(json.dumps({"keys": [key]}))

        with pytest.raises(SetupError, match=why):
            open_verifier([Approver(keys=str(tmp_path / "team.json"))])

    async def test_two_files_of_personal_keys(self, tmp_path: Path):
        """Several teams have a file each."""
        keys = [make(sub="ada@example.com"), make(sub="bob@example.com")]
        for number, key in enumerate(keys):
            publish(tmp_path / f"{number}.json", key)
        verifier = open_verifier([Approver(keys=str(tmp_path / f"{number}.json")) for number in range(2)])

        for key in keys:
            assert await accepts(verifier, sign(key, claims(iss="mainspring:key", sub=key["sub"])))


class TestOwn:
    """The engine's own keys."""

    async def test_rotated(self, tmp_path: Path):
        """After a rotation the new key signs, and what the old one signed still counts."""
        keys = open_approval_keys(tmp_path / "own.json")
        verifier = open_verifier([], keys.public)
        before = keys.sign("ada@example.com", binding=BINDING, now=NOW, seconds=60)
        open_approval_keys(tmp_path / "own.json").rotate()  # by another process
        after = keys.sign("ada@example.com", binding=BINDING, now=NOW, seconds=60)

        assert before.split(".")[0] != after.split(".")[0]
        assert await accepts(verifier, before)
        assert await accepts(verifier, after)

    async def test_removed(self, tmp_path: Path):
        """What a key signed that was taken out counts no more; the one that signs cannot be taken out."""
        keys = open_approval_keys(tmp_path / "own.json")
        verifier = open_verifier([], keys.public)
        [old] = keys.public()
        token = keys.sign("ada@example.com", binding=BINDING, now=NOW, seconds=60)
        with pytest.raises(SetupError, match="is the one that signs"):
            keys.remove(old["kid"])

        keys.rotate()
        keys.remove(old["kid"])

        await refused(verifier, token, "signed with a key that is not trusted")

    async def test_gone(self, tmp_path: Path):
        """Where the file is gone nobody is trusted, and nothing is said of where it was."""
        keys = open_approval_keys(tmp_path / "own.json")
        verifier = open_verifier([], keys.public)
        token = keys.sign("ada@example.com", binding=BINDING, now=NOW, seconds=60)
        (tmp_path / "own.json").unlink()

        said = await refused(verifier, token, "cannot be checked: the keys of Mainspring itself cannot be read")
        assert str(tmp_path) not in said


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class TestAddress:
    """Keys at an address are fetched when they are needed, and kept for some minutes."""

    @pytest.fixture
    def old(self) -> dict[str, Any]:
        return make("ES256")

    @pytest.fixture
    def served(self, old: dict[str, Any]) -> Iterator[KeyServer]:
        with key_server(old) as served:
            yield served

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def verifier(self, served: KeyServer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> TokenVerifier:
        monkeypatch.setattr(UrlKeys.__init__, "__kwdefaults__", {"clock": clock})
        return open_verifier([Approver(issuer=ISSUER, keys=served.url)])

    async def test_kept(self, verifier: TokenVerifier, served: KeyServer, old: dict[str, Any], clock: Clock):
        """They are fetched once in a while, not for each token, and not before there is one."""
        assert served.asked == 0
        for _ in range(3):
            assert await accepts(verifier, sign(old, claims(), "ES256"))
        assert served.asked == 1

        clock.now += FRESH + 1
        assert await accepts(verifier, sign(old, claims(), "ES256"))
        assert served.asked == 2

    async def test_rotated(self, verifier: TokenVerifier, served: KeyServer, old: dict[str, Any]):
        """A token of a new key has them fetched again at once."""
        new = make()
        await accepts(verifier, sign(old, claims(), "ES256"))
        served.gives = {"keys": [public(new), public(old)]}

        assert await accepts(verifier, sign(new, claims()))
        assert await accepts(verifier, sign(old, claims(), "ES256"))
        assert served.asked == 2

    async def test_withdrawn(self, verifier: TokenVerifier, served: KeyServer, old: dict[str, Any], clock: Clock):
        """A key that the issuer does not give out any more is trusted for some minutes at most."""
        await accepts(verifier, sign(old, claims(), "ES256"))
        served.gives = {"keys": [public(make())]}
        clock.now += FRESH + 1

        await refused(verifier, sign(old, claims(), "ES256"), "signed with a key that is not trusted")

    async def test_strangers(self, verifier: TokenVerifier, served: KeyServer, old: dict[str, Any], clock: Clock):
        """However many tokens of unknown keys come, the provider is asked once in some seconds."""
        await accepts(verifier, sign(old, claims(), "ES256"))
        for _ in range(5):
            await refused(verifier, sign(make(), claims()), "signed with a key that is not trusted")
        assert served.asked == 2

        clock.now += AGAIN + 1
        await refused(verifier, sign(make(), claims()), "signed with a key that is not trusted")
        assert served.asked == 3

    @pytest.mark.parametrize(
        ("status", "gives", "why"),
        [
            (500, {}, "the answer was 500"),
            (404, {}, "the answer was 404"),
            (302, {}, "the answer was 302"),
            (200, b"<html>", "it is not JSON"),
            (200, b"\xff\xfe", "the answer is not JSON"),
            (200, {"issuer": ISSUER}, "it holds no keys"),
            (200, b" " * 300_000, "larger than 256 KiB"),
        ],
    )
    async def test_not_keys(
        self, status: int, gives: Any, why: str, *, verifier: TokenVerifier, served: KeyServer, old: dict[str, Any]
    ):
        """An answer that holds no keys is told as what it is."""
        served.status, served.gives = status, gives

        said = await refused(verifier, sign(old, claims(), "ES256"), why)
        assert said.startswith(f"The token cannot be checked: the keys at '{served.url}' cannot be had, ")

    async def test_down(self, verifier: TokenVerifier, served: KeyServer, old: dict[str, Any], clock: Clock):
        """While the provider is down decisions are refused at once, and it is not asked for each; then all is well."""
        served.status = 503
        await refused(verifier, sign(old, claims(), "ES256"), "the answer was 503")
        await refused(verifier, sign(old, claims(), "ES256"), "a moment ago")
        assert served.asked == 1

        served.status = 200
        clock.now += AGAIN
        assert await accepts(verifier, sign(old, claims(), "ES256"))

    async def test_known_keys_while_it_is_down(
        self, verifier: TokenVerifier, served: KeyServer, old: dict[str, Any], clock: Clock
    ):
        """Keys that were fetched a moment ago hold while it is down."""
        await accepts(verifier, sign(old, claims(), "ES256"))
        served.status = 503

        assert await accepts(verifier, sign(old, claims(), "ES256"))
        await refused(verifier, sign(make(), claims()), "the answer was 503")
        assert await accepts(verifier, sign(old, claims(), "ES256"))

    async def test_silent(
        self, verifier: TokenVerifier, served: KeyServer, old: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ):
        """A provider that takes the request and says nothing holds a decision up for seconds, not for ever."""
        monkeypatch.setattr(sources, "WITHIN", 0.1)
        served.silent.set()

        with pytest.raises(TokenError, match=r"cannot be had, (there was no answer within|ReadTimeout)"):
            await accepts(verifier, sign(old, claims(), "ES256"))

    async def test_nobody_there(self, old: dict[str, Any]):
        """Where nothing listens the refusal says so."""
        with key_server() as served:
            address = served.url
        verifier = open_verifier([Approver(issuer=ISSUER, keys=address)])

        await refused(verifier, sign(old, claims(), "ES256"), "cannot be had, ConnectError")
