"""Activity side. What recognisers find, taken out of a text before it is recorded, or put back for a tool.

A token holds what it stands for, encrypted (AES-SIV, RFC 5297) under a key of the run, which is made of the worker's
own and the run's id. So a token needs no place to be kept, is the same wherever the same thing was said in a run, and
says nothing to whoever has the history alone.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from mainspring.core.canonical import Json, digest, scalars
from mainspring.core.policy import Rule, Way
from mainspring.errors import ToolError
from mainspring.ports.recogniser import Found, Recogniser

_TOKEN = re.compile(r"<([a-z][a-z0-9_]{0,31})#([A-Za-z0-9_-]{22,})>")
_STRICTEST_FIRST: tuple[Way, ...] = ("remove", "hash", "mask", "token")
"""By how much they leave to be read: of several rules about a kind, the strictest holds."""
_SHOWN = 4
"""Characters at the end that a mask leaves."""


@dataclass(frozen=True)
class Redactor:
    """Replaces what the recogniser finds in one run. `secret` is the worker's key for tokens, `run` the run's id."""

    recogniser: Recogniser
    secret: bytes
    run: str

    def kinds(self, value: Json) -> tuple[str, ...]:
        """The kinds of what is found anywhere in a value."""
        texts = dict.fromkeys(str(each) for each in scalars(value) if not isinstance(each, bool))
        found = {each.kind for text in texts for each in self.recogniser.find(text)}
        return tuple(sorted(found))

    def redacted(self, value: Json, rules: Iterable[Rule]) -> Json:
        """The value with what the rules name replaced. A number in which something is found becomes a text.

        Where nothing finds a kind that a rule names, all is withheld: this worker lacks a pattern that others have.
        """
        ways: dict[str, Way] = {}
        for rule in rules:
            for kind in rule.redact or self.recogniser.kinds:
                both: tuple[Way, Way] = (rule.way, ways.get(kind, rule.way))
                ways[kind] = min(both, key=_STRICTEST_FIRST.index)
        if unknown := sorted(ways.keys() - self.recogniser.kinds):
            return f"[withheld: nothing on this worker finds {unknown[0]}]"
        known: dict[str, str] = {}

        def replaced(text: str) -> str:
            if text not in known:
                known[text] = self._replaced(text, ways)
            return known[text]

        return mapped(value, replaced) if ways else value

    def opened(self, value: Json) -> tuple[Json, dict[str, str]]:
        """The value with what its tokens stand for; and each of these with its token, to be put back.

        Raises:
            ToolError: a token is none of this run, or was changed.
        """
        found: dict[str, str] = {}

        def change(token: re.Match[str]) -> str:
            plain = self._open(token)
            found[plain] = token[0]
            return plain

        return (mapped(value, lambda text: _TOKEN.sub(change, text)) if self.secret else value), found

    def _replaced(self, text: str, ways: dict[str, Way]) -> str:
        parts: list[str] = []
        end = 0
        for found in self.recogniser.find(text):
            if found.kind in ways:
                words = text[found.start : found.end]
                parts += [text[end : found.start], self._instead(found, words, ways[found.kind])]
                end = found.end
        return "".join((*parts, text[end:]))

    def _instead(self, found: Found, text: str, way: Way) -> str:
        if way == "mask":
            hidden = max(len(text) - _SHOWN, (len(text) + 1) // 2)
            return "*" * hidden + text[hidden:]
        if not self.secret:  # without a key, anybody who has the history could try what it was
            return f"[{found.kind}]"
        if way == "hash":
            return f"[{found.kind} {digest(text, self._key()[:32].hex())[:12]}]"
        if way == "token":
            sealed = AESSIV(self._key()).encrypt(text.encode(errors="surrogatepass"), [found.kind.encode()])
            return f"<{found.kind}#{_written(sealed)}>"
        return f"[{found.kind}]"

    def _open(self, token: re.Match[str]) -> str:
        kind, sealed = token[1], token[2]
        try:
            raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
            words = AESSIV(self._key()).decrypt(raw, [kind.encode()]) if _written(raw) == sealed else None
        except (InvalidTag, ValueError):
            words = None
        if words is None:
            raise ToolError(f"the token for a {kind} is none of this run, or was changed on the way")
        return words.decode(errors="surrogatepass")

    def _key(self) -> bytes:
        return hashlib.blake2b(self.run.encode(), key=self.secret[:64], digest_size=64).digest()


def _written(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def closed(value: Json, opened: dict[str, str]) -> Json:
    """The value with what was opened behind its tokens again."""
    longest_first = sorted(opened.items(), key=lambda each: -len(each[0]))

    def change(text: str) -> str:
        for plain, token in longest_first:
            text = text.replace(plain, token)
        return text

    return mapped(value, change) if opened else value


def mapped(value: Json, change: Callable[[str], str]) -> Json:
    """The value with each text in it changed, keys too, and each number that as a text would be."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [mapped(each, change) for each in value]
    if isinstance(value, dict):
        made: dict[str, Json] = {}
        for key, each in value.items():
            name = changed = change(key)
            while name in made or (name != key and name in value):
                name += f" {changed}"
            made[name] = mapped(each, change)
        return made
    if isinstance(value, int | float) and not isinstance(value, bool):
        changed = change(str(value))
        return value if changed == str(value) else changed
    return value
