"""Secrets: keys and tokens of known shape, private keys, and what stands behind a word such as `password`.

The shapes are those of detect-secrets' plugins and some of our own. Its plugins for random-looking texts are left out:
nearly every id and digest looks random. Of the others these are not used:

* KeywordDetector: it is for source code, and much of it has no equivalent in RE2. `_SAID` and `_SET` stand in.
* IPPublicDetector: an address of a machine is no secret; it is the kind `ip`.
* JwtTokenDetector: it leaves out the signature. `_OWN` has the whole token.
* PrivateKeyDetector: it finds the first line alone. `_OWN` has the whole block.
* BasicAuthDetector: it wants a user before the password. `_OWN` does not.
* Artifactory's `AP…`: it takes words in capitals for passwords.
"""

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

from typing_extensions import override

from mainspring.adapters.recognisers.compiled import compiled
from mainspring.adapters.recognisers.folding import FoldingRecogniser
from mainspring.ports.recogniser import Found

KINDS = frozenset({"secret"})

PLUGINS = (
    "artifactory.ArtifactoryDetector",
    "aws.AWSKeyDetector",
    "azure_storage_key.AzureStorageKeyDetector",
    "cloudant.CloudantDetector",
    "discord.DiscordBotTokenDetector",
    "github_token.GitHubTokenDetector",
    "gitlab_token.GitLabTokenDetector",
    "ibm_cloud_iam.IbmCloudIamDetector",
    "ibm_cos_hmac.IbmCosHmacDetector",
    "mailchimp.MailchimpDetector",
    "npm.NpmDetector",
    "openai.OpenAIDetector",
    "pypi_token.PypiTokenDetector",
    "sendgrid.SendGridDetector",
    "slack.SlackDetector",
    "softlayer.SoftlayerDetector",
    "square_oauth.SquareOAuthDetector",
    "stripe.StripeDetector",
    "telegram_token.TelegramBotTokenDetector",
    "twilio.TwilioKeyDetector",
)
"""The plugins of detect-secrets whose patterns are used."""
_LEFT_OUT = r"AP[\dABCDEF]"

_IN_RE2 = (
    (r"(?:(?<=\W)|(?<=^))", r"(?:^|\W)"),  # the secret is a group of its own in each of these
    (r"(?!\w)", ""),  # behind a greedy run of the same characters, or checked by `_is_whole`
    (r"(?![a-zA-Z0-9_\-])", ""),
    (r"(?![a-f0-9])", ""),
    ("{50,1024}", "{50,1000}"),  # RE2 counts to 1,000
)
"""What RE2 does not have, and what means the same here."""

_BLOCK = r"(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_OWN = (
    r"\b(?:gh[oprsu]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|npm_[A-Za-z0-9]{36}|hf_[A-Za-z0-9]{30,})",
    r"\b(?:AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,})",
    r"\b(?:[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{20,}|xapp-[A-Za-z0-9-]{20,})",
    r"\b(?:dop_v1_[a-f0-9]{64}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|hvs\.[A-Za-z0-9_-]{20,}|AGE-SECRET-KEY-1[A-Z0-9]{50,})",
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
    rf"-----BEGIN {_BLOCK}(?:(?:[\w+/=:,.() \t\r\n\\]|-[\w ])*-----END {_BLOCK}|(?:\s+[A-Za-z0-9+/=]{{16,}})*)",
    r"PuTTY-User-Key-File-[23]:(?:[\w+/=:,.() \t\r\n-])*",
    r"://[^\s:/@]{0,64}:([^\s/@]{3,128})@",
    r"(?i)\bset-cookie\s{0,3}:\s{0,3}[\w.-]{1,64}=([^;\s\"']{16,})",
    r"\bcurl\b[^\n]{0,200}?\s(?:-u|--user)[ =][\"']?[^\s:\"']{1,64}:([^\s\"']{3,128})",
)
"""Shapes of our own. A group is the secret, where not the whole is."""
_OWN_MIXED = (
    r"\bsk-[A-Za-z0-9_-]{20,}",
    r"(?i)\bauthorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:bearer|basic|token)\s{1,3}([A-Za-z0-9._~+/=-]{8,})",
)
"""Likewise, but words can have this shape too, so there has to be a digit or sign in it."""

_WORDS = (
    r"pass(?:word|wd|phrase|code|wort)?|pwd|pw|kennwort|mot de passe|mdp|contrase[ñn]a|clave|wachtwoord|parola|senha|"
    r"has[łl]o|l[öo]senord|passord|salasana|heslo|пароль"
)
_KEY = r"(?:api|access|secret|private|account|auth|client|signing|encryption)[ _-]?(?:key|token|secret)|secret|token"
_BEFORE = rf"(?i)(?:^|[^\pL\pN])(?:{_WORDS})"
_SAID = compiled(rf"{_BEFORE}(?:\s(?:is|ist|lautet|est|es|è|é|er|är|on|jest)|['’]s)\s?:?\s?[\"'`]?(\S{{5,128}})")  # noqa: RUF001
_SET = compiled(rf"{_BEFORE}[\"']?\s{{0,3}}(?::=|=>|[:=])\s{{0,3}}[\"'`]?([^\s\"'`<>]{{5,128}})")
_BESIDE = compiled(rf"{_BEFORE}\s[\"'`]?([^\s\"'`<>]{{5,128}})")
_SET_KEY = compiled(
    rf"(?i)(?:^|[^\pL\pN])(?:{_KEY})[\"']?\s{{0,3}}(?::=|=>|[:=])\s{{0,3}}[\"'`]?([^\s\"'`<>,;&]{{8,256}})"
)
_AT_THE_END = ".,;:)]}>\"'`&"
_REFERENCE = re.compile(r"\$|%\(|\{|\*{3}|x{4}|/|\.{3}|env\b|os\.", re.IGNORECASE)
"""How a value begins that only says where the secret is, or that there is none to see."""
_SHORTEST = 5
_SIGNS = re.compile(r"[0-9!@#$%^&*?]")


def _plugins() -> Iterator[str]:
    """The patterns of detect-secrets, in RE2's words."""
    for name in PLUGINS:
        module, _, plugin = name.partition(".")
        for pattern in getattr(import_module(f"detect_secrets.plugins.{module}"), plugin).denylist:
            if _LEFT_OUT not in pattern.pattern:
                yield _in_re2(pattern)


def _in_re2(pattern: re.Pattern[str]) -> str:
    written = pattern.pattern
    for python, ours in _IN_RE2:
        written = written.replace(python, ours)
    return f"(?i){written}" if pattern.flags & re.IGNORECASE else written


class Secrets(FoldingRecogniser):
    """Finds keys, tokens and passwords."""

    def __init__(self) -> None:
        """Compile the patterns: once, it takes some milliseconds."""
        self._own = [(compiled(pattern), pattern in _OWN_MIXED) for pattern in (*_OWN, *_OWN_MIXED)]
        self._plugins = [compiled(pattern) for pattern in _plugins()]

    @property
    @override
    def kinds(self) -> frozenset[str]:
        return KINDS

    @override
    def find_folded(self, text: str) -> Iterable[Found]:
        return (Found("secret", *place) for place in self._places(text)) if len(text) > _SHORTEST else ()

    def _places(self, text: str) -> Iterator[tuple[int, int]]:
        for pattern, mixed in self._own:
            for match in pattern.finditer(text):
                value = match[pattern.groups]
                if not _REFERENCE.match(value) and (_is_mixed(value) or not mixed):
                    yield match.span(pattern.groups)
        for pattern in self._plugins:
            for match in pattern.finditer(text):
                place = _inner(match, text)
                if _is_whole(text, *place):
                    yield place
        yield from _named(text)


_MARK = 3
"""Letters of a group that is only a mark within a token."""


def _inner(match: Any, text: str) -> tuple[int, int]:
    """The place of the secret: a group behind what says so, else the whole without its rim."""
    for group in range(1, len(match.groups()) + 1):
        start, end = match.span(group)
        if start > match.start() and end - start > _MARK:
            return (start, end)
    start, end = match.span()
    if text.startswith("AccountKey=", start):
        start += len("AccountKey=")
    while start < end and text[start] in ' \t\r\n=:"':
        start += 1
    while start < end and text[end - 1] in ' \t\r\n"':
        end -= 1
    return (start, end)


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether no letter or digit touches it: else it is a part of something longer, such as a picture in base64."""
    return not (text[max(0, start - 1) : start].isalnum() or text[end : end + 1].isalnum())


def _is_mixed(value: str) -> bool:
    """Whether it has letters and digits or signs: words alone are a name or a sentence."""
    return bool(_SIGNS.search(value)) and any(one.isalpha() for one in value)


def _is_random(value: str) -> bool:
    """Whether nobody would write a word so: with letters, a digit and a sign that is no stop."""
    return any(map(str.isdigit, value)) and any(one in "!@#$%^&*?_+=~" for one in value)


def _named(text: str) -> Iterator[tuple[int, int]]:
    """What follows a word that says it is secret."""
    for pattern in (_SAID, _SET, _SET_KEY, _BESIDE):
        for match in pattern.finditer(text):
            start, end = match.span(1)
            end = start + len(match[1].rstrip(_AT_THE_END))
            value = text[start:end]
            if len(value) < _SHORTEST or not _is_mixed(value) or _REFERENCE.match(value):
                continue
            if pattern is not _BESIDE or _is_random(value):
                yield start, end
