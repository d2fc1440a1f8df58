"""Recognisers: each alone, and all as one."""

import re
import sys
from itertools import pairwise
from time import process_time

import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mainspring.adapters.recognisers import KINDS, open_recognisers, secrets
from mainspring.adapters.recognisers.folding import fold
from mainspring.adapters.recognisers.overlaps import settled
from mainspring.adapters.recognisers.patterns import Patterns
from mainspring.adapters.recognisers.personal import Personal
from mainspring.adapters.recognisers.secrets import Secrets
from mainspring.errors import SetupError
from mainspring.ports.recogniser import Found, Recogniser
from mainspring.testing.contracts import RecogniserContract

PERSONAL = {
    "card": "Paid with [[4111 1111 1111 1111]], thanks.",
    "email": "Write to [[ana.b+shop@mail.example.com]].",
    "iban": "Account [[DE89 3704 0044 0532 0130 00]] please.",
    "ip": "Refused [[203.0.113.42]] again",
    "national_id": "My SSN is [[260-18-1590]].",
    "phone": "Call [[+49 30 901820]], after six.",
}
SECRET = "My token is [[ghp" + "_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8]]."
ALL = open_recognisers({"ticket": r"\bT-\d{6}\b"})


class TestPersonal(RecogniserContract):
    @pytest.fixture
    def recogniser(self) -> Recogniser:
        return Personal()

    @pytest.fixture
    def examples(self) -> dict[str, str]:
        return PERSONAL


class TestSecrets(RecogniserContract):
    @pytest.fixture
    def recogniser(self) -> Recogniser:
        return Secrets()

    @pytest.fixture
    def examples(self) -> dict[str, str]:
        return {"secret": SECRET}


class TestPatterns(RecogniserContract):
    @pytest.fixture
    def recogniser(self) -> Recogniser:
        return Patterns({"ticket": r"\bT-\d{6}\b", "project": r"(?i)project (\w+)"})

    @pytest.fixture
    def examples(self) -> dict[str, str]:
        return {"ticket": "See [[T-004411]].", "project": "About project [[Heron]], you know."}


class TestTogether(RecogniserContract):
    @pytest.fixture
    def recogniser(self) -> Recogniser:
        return ALL

    @pytest.fixture
    def examples(self) -> dict[str, str]:
        return {**PERSONAL, "secret": SECRET, "ticket": "See [[T-004411]]."}


def found(text: str, recogniser: Recogniser = ALL) -> list[tuple[str, str]]:
    """The kinds of what is found, and the words."""
    return [(find.kind, text[find.start : find.end]) for find in recogniser.find(text)]


@pytest.mark.parametrize(
    ("kind", "marked"),
    [
        ("card", "[[4111111111111111]]"),
        ("card", "[[4111-1111 1111 1111]]"),
        ("card", "[[4111.1111.1111.1111]]"),
        ("card", "[[3782 822463 10005]]"),
        ("card", "12/27 [[4111 1111 1111 1111]] 123"),
        ("card", "\uff11\uff12 [[" + " ".join(["\uff14\uff11\uff11\uff11"] + ["\uff11" * 4] * 3) + "]]"),
        ("card", "[[" + " ".join(["\u0664\u0661\u0661\u0661"] + ["\u0661" * 4] * 3) + "]]"),
        ("card", "[[4111\u200b1111\u00a01111\u20111111]]\u200b"),
        ("card", "カード[[4111111111111111]]です"),
        ("email", r'{"body": "a\n[[ana@example.com]]\nb"}'),
        ("email", r"[[ana\u0040example.com]]"),
        ("card", "[[4111\u22121111\u22121111\u22121111]]"),
        ("card", "[[4111 - 1111 - 1111 - 1111]]"),
        ("phone", "[[+49\u00b730\u00b7901820]]"),
        ("secret", "user kasse2, kennwort [[Brezel#2024]]."),
        ("email", r"[[ana@example.co\u006d]] is hers"),
        ("email", "?mail=[[ana%40example.com]]&x=1"),
        ("email", "[[ana [at] example [dot] org]]"),
        ("email", "メールは[[ana@example.jp]]です"),
        ("email", "mailto:[[ana@example.com]]"),
        ("iban", "[[gb82west12345698765432]]"),
        ("iban", "[[GB82 WEST 1234 5698 7654 32]] GBP"),
        ("iban", "AT61 [[DE89370400440532013000]]"),
        ("ip", "[[2001:db8:85a3::8a2e:370:7334]]"),
        ("ip", "from [[10.0.0.12]]:8080"),
        ("phone", "(555) [[+1 415-555-2671]]"),
        ("phone", "00 [[+44 (0)20 7946 0321]] 2025"),
        ("phone", "[[0049 30 901820]]"),
        ("phone", "[[(212) 555-0187]]"),
        ("phone", "[[06 12 34 56 78]]"),
        ("phone", "móvil: [[655123456]]"),
        ("phone", "c'est le [[0612345678]] mon portable"),
        ("national_id", '{"ssn":"[[082461589]]"}'),
        ("national_id", "Steuer-ID [[71 800 239 042]]"),
        ("national_id", "[[2 85 05 75 003 790 88]]"),
        ("national_id", "social security: [[016 61 3186]]"),
        ("national_id", "[[70.211.934-H]]"),
        ("national_id", "[[48739215F]]"),
        ("national_id", "[[X-1234567-L]]"),
        ("national_id", "[[RSSMRA80A01H501U]]"),
        ("national_id", "BSN: [[385280841]]"),
        ("national_id", "National Insurance [[QQ 12 34 56 C]]"),
        ("national_id", "PESEL [[85041237215]]"),
        ("national_id", "[[850412-0166]]"),
        ("national_id", "[[756.1092.8159.01]]"),
        ("secret", "password: [[s3cr3t!Pa55]]"),
        ("secret", "das Passwort ist [[Blumen!77]], danke"),
        ("secret", "postgresql://app:[[Tr0ub4dor]]@db:5432/x"),
        ("secret", "[[sk-" + "proj-Zx81mKq0PdLw93vTnB7cRfYhUj2s]]"),
        ("secret", "[[eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P]]"),
        ("secret", "x\n[[-----BEGIN " + "PRIVATE KEY-----\nMIIBOgIBAAJBAKj3\n-----END PRIVATE KEY-----]]\nits end"),
        ("secret", "[[-----BEGIN " + "PRIVATE KEY-----\nMIIBOgIBAAJBAKj34GkxFhD9]] and cut off, sorry!"),
    ],
)
def test_found(kind: str, marked: str) -> None:
    """What a person would see is found, whole and alone."""
    before, _, rest = marked.partition("[[")
    inside, _, after = rest.partition("]]")

    assert found(before + inside + after) == [(kind, inside)]


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "order 1234567890123, 2025-03-14T10:11:12.131Z, 05.11.2024 10:30",
        "41111111-1111-1111-1111-111111111111 550e8400-e29b-41d4-a716-446655440000",
        "sha256:4a44dc15364204a80fe80e9039455cc1608281820fe2b24f1e5233ade6af1dd5",
        "| 4111 | 1111 | 1111 | 1111 |",
        "pi is 3.14159265358979323846, e is 2.718281828459045",
        "1 234 567 890 123 456 of 4 123 456 789 012 345",
        "version 10.0.45.3, v1.2.3.4, 127.0.0.1, 0.0.0.0, mask 255.255.255.0, 1.2.3.4-beta, nginx/1.25.3.1",
        "shop:1.4.2.7@sha256",
        "12:30:45 00:1B:44:11:3A:B7 ab::cd::ef std::vector",
        "git@github.com:acme/shop.git react@18.2.0 logo@2x.png user@localhost a@b jo@@example.com",
        "DE89 3704 0044 0532 0130 01",
        "bsn: none. This sentence is too long for that to be said of 385280841",
        "260181590, 385280841, 71800239042, 85041237215",
        "850412-0167 48739215A X-1234567-A RSSMRA80A01H501A",
        "the password policy2 changed, password: <your password>, PASSWORD=${SECRET}",
        "token=********, the password is required, secret: null",
        "task-list-for-the-whole-of-next-week, risk-assessment-2025-03-14-final-version",
        "612 345 678 pesos, page 1234-5678, 0123-4567-8901-2345",
    ],
)
def test_not_found(text: str) -> None:
    """What only looks like it is left alone."""
    assert found(text) == []


def test_longest_wins() -> None:
    """Of finds at one place the longest is kept, whoever made it."""
    assert found("https://jo:s3cr3t-pw@example.com:443/ and DE89370400440532013000") == [
        ("secret", "s3cr3t-pw"),
        ("iban", "DE89370400440532013000"),
    ]


def test_own_patterns_come_first() -> None:
    """Of finds as long as one another, that of a pattern of one's own is kept."""
    assert found("4111111111111111", open_recognisers({"voucher": r"\d{16}"})) == [
        ("voucher", "4111111111111111"),
    ]


def test_group() -> None:
    """Of a pattern with a group only the group is found, and nothing where the group took no part."""
    assert found("no. 17, no. x", Patterns({"number": r"no\. (?:(\d+)|x)"})) == [("number", "17")]


@pytest.mark.parametrize(
    ("kind", "pattern", "problem"),
    [
        ("Ticket", "x", "'Ticket' is no name of a kind"),
        ("1st", "x", "'1st' is no name of a kind"),
        ("a" * 33, "x", "is no name of a kind"),
        ("card", "x", "'card' is built in"),
        ("ticket", "(", "the pattern of the kind 'ticket' is not RE2: missing )"),
        ("ticket", r"(?<=x)y", "the pattern of the kind 'ticket' is not RE2: invalid perl operator"),
        ("ticket", "(a)(b)", "the pattern of the kind 'ticket' has 2 groups"),
        ("ticket", "x*", "the pattern of the kind 'ticket' matches an empty text"),
    ],
)
def test_wrong_pattern(kind: str, pattern: str, problem: str) -> None:
    """A wrong pattern or name says which it is, and what is wrong."""
    with pytest.raises(SetupError, match=re.escape(problem)):
        open_recognisers({kind: pattern})


def test_kinds() -> None:
    """All kinds are said, a team's own too."""
    assert ALL.kinds == KINDS | {"ticket"}


def test_regions() -> None:
    """Telephone numbers without a country code are those of the regions that were given."""
    assert found("089/12345678", Personal(("DE",))) == [("phone", "089/12345678")]
    assert found("089/12345678", Personal(("US",))) == []


def test_presidio_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its package presidio says how to install it."""
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)

    with pytest.raises(SetupError, match=re.escape("pip install 'mainspring[presidio]'")):
        open_recognisers(presidio=True)


SNIPPETS = st.sampled_from(
    [
        *(text.replace("[[", "").replace("]]", "") for text in PERSONAL.values()),
        *("password: s3cr3t!", "T-004411", "+", "@", "\u200b", "\\n", "\\u0040", "%40", "\uff14", "\u00a0", "-", "."),
        *("4111", "DE89", "sk-", "\ud800", "\U0001f600", " "),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(st.one_of(SNIPPETS, st.text(max_size=3))).map("".join))


@given(TEXTS)
@example("\u200b4111111111111111\u200b")
@settings(deadline=None)
def test_any_text(text: str) -> None:
    """Finds of any text are places in it, in order, not overlapping, and cutting them out leaves the rest as it was."""
    finds = list(ALL.find(text))

    assert all(0 <= find.start < find.end <= len(text) and find.kind in ALL.kinds for find in finds)
    assert all(one.end <= other.start for one, other in pairwise(finds))


@given(TEXTS)
def test_folding(text: str) -> None:
    """Each character of the folded text has its place in the original, one behind the other."""
    folded = fold(text)
    places = list(folded.found(Found("x", at, at + 1) for at in range(len(folded.text))))

    assert all(0 <= place.start < place.end <= len(text) for place in places)
    assert all(one.end <= other.start for one, other in pairwise(places))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.integers(1, 12))))
def test_overlaps(places: list[tuple[str, int, int]]) -> None:
    """What is left does not overlap, and each find that is gone overlaps one that is at least as long."""
    finds = [Found(kind, start, start + length) for kind, start, length in places]
    kept = settled(finds, 50)

    assert all(one.end <= other.start for one, other in pairwise(kept))
    for find in finds:
        over = [one for one in kept if one.start < find.end and find.start < one.end]
        assert any(one.end - one.start >= find.end - find.start for one in over)


@pytest.mark.parametrize(
    "piece",
    [
        *("4 ", "4111 ", "DE12 ", "+1", "030 901821 ", "a", "a@", "a.", "1.", "1:", "sk-", "eyJ", "AB12345678"),
        *(
            "-----BEGIN " + "PRIVATE KEY-----\n",
            "//",
            "://a:",
            "glagent-",
            "\\u0041",
            "\u200b4",
            "ssn 12345678 ",
            "[at]",
        ),
        *("password=a", "PuTTY-User-Key-File-2: ", "aws key", "curl -u "),
    ],
)
def test_time_is_linear(piece: str) -> None:
    """A text made to be slow takes no more than its length: eight times as long, far less than 64 times the time."""
    times = []
    for size in (4_000, 32_000):
        text = piece * (size // len(piece))
        began = process_time()
        list(ALL.find(text))
        times.append(process_time() - began)

    assert times[1] < 24 * max(times[0], 0.005)


def test_every_plugin() -> None:
    """Each plugin of detect-secrets is used, or left out with a reason."""
    left_out = {
        "basic_auth.BasicAuthDetector",
        "high_entropy_strings.Base64HighEntropyString",
        "high_entropy_strings.HexHighEntropyString",
        "ip_public.IPPublicDetector",
        "jwt.JwtTokenDetector",
        "keyword.KeywordDetector",
        "private_key.PrivateKeyDetector",
    }
    there = {
        f"{plugin.__module__.removeprefix('detect_secrets.plugins.')}.{plugin.__name__}"
        for plugin in get_mapping_from_secret_type_to_class().values()
    }

    assert there == {*secrets.PLUGINS, *left_out}
    assert all(name.partition(".")[2] in str(secrets.__doc__) for name in left_out if "entropy" not in name)


LETTERS = "a8Kd92LmQz71XcVb04NwErTyUiOp56GhJk3FqS8dZx"


@pytest.mark.parametrize(
    "token",
    [
        "AKIA" + "IOSFODNN7EXAMPLE",
        "glpat-" + LETTERS[:20],
        "glagent-" + LETTERS + LETTERS[:20],
        "github_pat_" + LETTERS,
        "gho_" + LETTERS[:36],
        "xoxb-" + "2048573910-4839201745-" + LETTERS[:20],
        "SG." + LETTERS[:22] + "." + LETTERS + "x",
        "npm_" + LETTERS[:36],
        "AIza" + LETTERS[:35],
        "sk_live_" + LETTERS[:24],
        "sk-ant-" + LETTERS,
        "pypi-AgEIcHlwaS5vcmc" + LETTERS * 2,
        "123456789:" + LETTERS[:35],
        "SK" + "9d1c7a4e22b84f6ca0e5b7d2a4f8c1e3",
        "9d1c7a4e22b84f6ca0e5b7d2a4f8c1e3" + "-us12",
        "hvs." + LETTERS,
        "https://hooks.slack.com" + "/services/T00000000/B00000000/XXXXXXXXXXXXXXXX",
    ],
)
@pytest.mark.parametrize("around", ["{}", "token {} .", '{{"value":"{}"}}', "X={};", "\u200b{}\n"])
def test_tokens(token: str, around: str) -> None:
    """Tokens of known shape are found whole, wherever they stand."""
    assert found(around.format(token)) == [("secret", token)]
