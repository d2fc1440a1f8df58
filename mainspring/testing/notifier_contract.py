"""The conformance suite of the notifier port; to be had from `mainspring.testing.contracts`. Test side only."""

# ruff: noqa: S101 - a suite is made of assertions

import asyncio
from collections.abc import Collection
from typing import get_args

import pytest

from mainspring.core.approvals import Kind
from mainspring.errors import NotifyError
from mainspring.ports.notifier import Notice, Notifier, Occasion


class NotifierContract:
    """What every `Notifier` must do. Override `notifier`, with two channels: `works`, and `broken` with nobody there.

    Override `secrets` with what must not be told: addresses and their parts.
    """

    @pytest.fixture
    def notifier(self) -> Notifier:
        """The notifier to test."""
        raise NotImplementedError("override the fixture `notifier` with the notifier to test")

    @pytest.fixture
    def secrets(self) -> Collection[str]:
        """What stands in no error and no `repr`."""
        return ()

    @pytest.mark.parametrize("occasion", get_args(Occasion))
    async def test_every_occasion(self, notifier: Notifier, occasion: Occasion) -> None:
        """A channel is told on every occasion."""
        await notifier.send("works", sample(occasion=occasion))

    @pytest.mark.parametrize("kind", get_args(Kind))
    async def test_every_kind(self, notifier: Notifier, kind: str) -> None:
        """A channel is told of every kind of request, also where nothing is known but what it is about."""
        await notifier.send("works", sample(kind=kind, reason="", rule="", deadline=0.0, who=(), binding=""))

    async def test_same_key(self, notifier: Notifier) -> None:
        """The same notice may come again, as after a crash."""
        await notifier.send("works", sample())
        await notifier.send("works", sample())

    async def test_any_text(self, notifier: Notifier) -> None:
        """Names and reasons may hold any character."""
        odd = "Gr\u00fc\u00dfe \U0001f600 {{ 7 * 7 }} <b>&amp; %s\\r\n\r\nBcc: eve@example.com"
        await notifier.send("works", sample(run=odd, agent=odd, tool=odd, reason=odd, decision=odd, who=(odd,)))

    async def test_at_once(self, notifier: Notifier) -> None:
        """One instance tells of several requests at the same time."""
        await asyncio.gather(*(notifier.send("works", sample(key=f"key{number}")) for number in range(5)))

    async def test_unknown_channel(self, notifier: Notifier) -> None:
        """A channel that there is not is an error that names it."""
        with pytest.raises(NotifyError, match="elsewhere"):
            await notifier.send("elsewhere", sample())

    async def test_nobody_there(self, notifier: Notifier, secrets: Collection[str]) -> None:
        """Where nobody answers, that is an error which may pass, and which names the channel and no address."""
        with pytest.raises(NotifyError, match="broken") as caught:
            await notifier.send("broken", sample())
        assert caught.value.retryable
        told = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r} {notifier!r}"
        assert [each for each in secrets if each in told] == []


def sample(**changes: object) -> Notice:
    """A notice, with some of its fields changed."""
    known: dict[str, object] = {
        "key": "key",
        "occasion": "asked",
        "namespace": "default",
        "run": "refund-1042",
        "execution": "0198f2c4-0000-7000-8000-000000000000",
        "request": "1",
        "kind": "approval",
        "agent": "desk",
        "tool": "issue_refund",
        "reason": "Refunds over 50 EUR need a person.",
        "rule": "large refunds",
        "deadline": 1_800_000_000.0,
        "binding": "binding",
        "who": ("finance",),
    }
    return Notice.model_validate({**known, **changes})
