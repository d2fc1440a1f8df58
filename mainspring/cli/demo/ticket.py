"""Which ticket the demo plays. The edge; reads the example mails."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from mainspring.errors import UsageError, did_you_mean

ASKS = {"damaged-grinder": 1042, "german": 1080, "old-order": 1090}
"""Tickets whose refund a person has to approve, best first, and the order each is about."""


@dataclass(frozen=True)
class Ticket:
    """A mail as the desk gets it. `asks` tells whether an approval must come up, `remark` what is special now."""

    name: str
    text: str
    user: str
    asks: bool
    remark: str = ""


def choose(name: str, folder: Path, refunded: AbstractSet[int]) -> Ticket:
    """The ticket of that name; without one, the first that still needs an approval.

    Args:
        name: of a file in `folder`, without `.eml`; "" for any.
        folder: where the mails are.
        refunded: numbers of the orders that were refunded already.

    Raises:
        UsageError: there is no such ticket, or none left that needs an approval.
    """
    if name:
        paid = ASKS.get(name) in refunded
        remark = f"Order {ASKS[name]} is refunded already, so this time the rules refuse." if paid else ""
        return _read(folder, name, asks=name in ASKS and not paid, remark=remark)
    left = [each for each, order in ASKS.items() if order not in refunded]
    if not left:
        raise UsageError(
            "Every order of the tickets that need an approval is refunded by now. "
            "Run 'make clean' for a new shop, or name a ticket: make demo ARGS='--ticket small-refund'"
        )
    done = [str(order) for order in ASKS.values() if order in refunded]
    orders = f"Order {done[0]} was" if len(done) == 1 else f"Orders {' and '.join(done)} were"
    remark = f"{orders} refunded by an earlier demo ('make clean' forgets it), so this is another ticket."
    return _read(folder, left[0], asks=True, remark=remark if done else "")


def _read(folder: Path, name: str, *, asks: bool, remark: str) -> Ticket:
    path = folder / f"{name}.eml"
    if not path.is_file():
        known = [each.stem for each in folder.glob("*.eml")]
        raise UsageError(f"There is no ticket {name!r} in {str(folder)!r}.{did_you_mean(name, known)}")
    mail = message_from_bytes(path.read_bytes(), _class=EmailMessage, policy=policy.default)
    body = mail.get_body(("plain",))
    text = str(body.get_content()).strip() if body else ""
    return Ticket(
        name=name,
        text=f"Subject: {mail['Subject']}\nFrom: {mail['From']}\n\n{text}",
        user=str(mail["From"].addresses[0].addr_spec),
        asks=asks,
        remark=remark,
    )
