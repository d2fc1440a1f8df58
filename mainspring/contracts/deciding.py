"""Payloads of the activities around a decision: `identify`, which tells who sent an update, and `notify`."""

from mainspring.contracts.steps import Timing
from mainspring.core.approvals import Identity, Request
from mainspring.core.canonical import Record


class IdentifyWork(Record):
    """Tell who sent the update with this id, which is in this history, about this request.

    `form` is the digest of what they decided, `token` the token that came with it.
    """

    update: str
    request: Request
    form: str = ""
    token: str = ""


class Identified(Record):
    """Who it was; where a token was refused, `refusal` says why.

    `inbox` is the address where those who are known decide, "" where there is none.
    """

    identity: Identity = Identity()
    refusal: str = ""
    inbox: str = ""
    timing: Timing = Timing(start=0, end=0)


class NotifyWork(Record):
    """Tell the channels of a request's route on an occasion (`ports.notifier.Occasion`).

    `decision` is a sentence on what was decided, which everybody may read: it holds nobody's comment or answer.
    """

    request: Request
    occasion: str
    decision: str = ""


class Notified(Record):
    """Which channels were told, and which were not, each with why: a sentence that names it."""

    told: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    timing: Timing = Timing(start=0, end=0)
