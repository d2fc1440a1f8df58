"""Presidio as a recogniser, where its package is installed."""

import pytest

from mainspring.adapters.recognisers import open_recognisers
from mainspring.ports.recogniser import Found, Recogniser
from mainspring.testing.contracts import RecogniserContract

pytest.importorskip("presidio_analyzer", reason="the extra 'presidio' is not installed: it weighs some 300 MB")

EXAMPLES = {
    "card": "Paid with [[4111 1111 1111 1111]], thanks.",
    "email": "Write to [[ana.b+shop@mail.example.com]].",
    "iban": "Account [[DE89 3704 0044 0532 0130 00]] please.",
    "ip": "Refused [[203.0.113.42]] again",
    "phone": "Call [[+49 30 901820]], after six.",
}


class TestPresidio(RecogniserContract):
    @pytest.fixture(scope="class")
    def recogniser(self) -> Recogniser:
        from mainspring.adapters.recognisers.presidio import Presidio

        return Presidio()

    @pytest.fixture
    def examples(self) -> dict[str, str]:
        return EXAMPLES

    def test_long_text(self, recogniser: Recogniser) -> None:
        """A long text is looked at in pieces, and what lies across two of them is found once and whole."""
        line = "Write to ana@example.com, or not. "
        finds = list(recogniser.find(line * 1000))

        assert finds == [Found("email", at * len(line) + 9, at * len(line) + 24) for at in range(1000)]


def test_fetches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presidio looks up no list of suffixes in the net."""
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("something was fetched"))
    text = "Write to ana@example.com"

    assert list(open_recognisers(presidio=True).find(text)) == [Found("email", 9, 24)]
