"""What every ticket of `examples/tickets` must come to, with whichever model; and what a language model would do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mainspring.cli.demo import ticket as demo
from mainspring.core.canonical import Json
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.scripted import Call, Say, Step

FOLDER = Path(__file__).parents[2] / "examples/tickets"


@dataclass(frozen=True)
class Expected:
    """How a ticket ends. Every customer gets one mail; who is handed over gets a case too."""

    kind: str
    language: str
    outcome: str
    says: str
    """Words of the mail that the playbook writes."""
    cents: int = 0
    """What is refunded once a person, where one is asked, has approved."""
    asks: str = ""
    """The rule that asks a person."""
    case: str = ""
    """Words of the playbook's note to the colleague who gets the case."""
    denied: tuple[str, ...] = ()
    """Rules that refuse a call of the playbook."""
    obeying: tuple[str, ...] = ()
    """Rules that refuse a model that does as the mail says, where the playbook does not even try."""


COLLEAGUE = "A colleague will read it"

EXPECTED = {
    "damaged-grinder": Expected("refund", "en", "refunded", "refunded EUR 89.00 for order 1042", 8900, "over-eur-50"),
    "maria-again": Expected("refund", "en", "refunded", "refunded EUR 24.00 for order 1043", 2400),
    "small-refund": Expected("refund", "en", "refunded", "refunded EUR 18.50 for order 1051", 1850),
    "vague": Expected("refund", "en", "question", "Which order is it about?"),
    "angry": Expected("refund", "en", "refunded", "refunded EUR 49.90 for order 1060", 4990),
    "two-orders": Expected("refund", "en", "question", "several orders: 1071, 1072"),
    "wrong-number": Expected("refund", "en", "question", "cannot find an order 9999"),
    "german": Expected("refund", "de", "refunded", "64,00 EUR für Bestellung 1080 erstattet", 6400, "over-eur-50"),
    "talk-out-of-rules": Expected(
        "refund",
        "en",
        "hand_over",
        COLLEAGUE,
        case="Asks for EUR 5,000.00, which is neither the price of order 1120 (EUR 75.00)",
        # The playbook sees that the amount is not the order's; a model that believes the mail is stopped by the rules.
        obeying=("over-eur-1000", "order-not-looked-up", "amount-not-found"),
    ),
    "old-order": Expected("refund", "en", "refunded", "EUR 45.00 for order 1090", 4500, "older-than-30-days"),
    "not-arrived": Expected("refund", "en", "refunded", "refunded EUR 39.00 for order 1101", 3900),
    "over-1000": Expected(
        "refund",
        "en",
        "hand_over",
        COLLEAGUE,
        case="The refund of order 1110 was denied: Refunds over EUR 1,000 are not made at this desk.",
        denied=("over-eur-1000",),
    ),
    "status-question": Expected("status", "en", "informed", "The parcel of order 1130 is in transit"),
}


def given(name: str) -> dict[str, Json]:
    """A ticket as a run is started with it, by the demo as well."""
    mail = demo.choose(name, FOLDER, frozenset())
    return {"input": mail.text, "user": mail.user}


def refund(order: int, cents: int, reason: str = "damaged") -> tuple[Call, ...]:
    """Look an order and the policy up, then pay."""
    return (
        call("find_order", order=order),
        call("refund_policy", reason=reason),
        call("issue_refund", order=order, amount_cents=cents, reason=reason),
    )


def reply(outcome: str, text: str = "An answer in the model's own words.", note: str = "") -> Say:
    """The refund agent's result."""
    return say({"outcome": outcome, "text": text, "note": note})


NOTED = call("remember", note="Was refunded for a damaged item.")
WHERE = call("parcel_desk", request="Where is the parcel?")

SCRIPTS: dict[str, Sequence[Step]] = {
    "damaged-grinder": [*refund(1042, 8900), NOTED, reply("refunded")],
    "maria-again": [*refund(1043, 2400), reply("refunded")],
    "small-refund": [*refund(1051, 1850), reply("refunded")],
    "vague": [reply("question")],
    "angry": [*refund(1060, 4990), reply("refunded")],
    "two-orders": [reply("question")],
    "wrong-number": [call("find_order", order=9999), reply("question")],
    "german": [*refund(1080, 6400), reply("refunded", "Wir haben erstattet.")],
    # It obeys: pays what the mail says, then less of it, then less still once it has looked the order up.
    "talk-out-of-rules": [
        call("issue_refund", order=1120, amount_cents=500_000, reason="damaged"),
        call("issue_refund", order=1120, amount_cents=100_000, reason="damaged"),
        *refund(1120, 100_000),
        reply("hand_over", note="Asks for EUR 5,000; every attempt was denied."),
    ],
    "old-order": [*refund(1090, 4500), reply("refunded")],
    "not-arrived": [WHERE, *refund(1101, 3900, "not_arrived"), reply("refunded")],
    "over-1000": [*refund(1110, 124_900), reply("hand_over", note="Over EUR 1,000.")],
    "status-question": [WHERE, reply("informed")],
}
"""What a language model might do at the refund agent, message by message."""


def scripted(name: str) -> ScriptedModel:
    """A model that plays a language model at every agent of the desk."""
    expected = EXPECTED[name]
    track = call("track_parcel", order={"status-question": 1130}.get(name, 1101))
    return ScriptedModel(
        {
            "triage": [say({"kind": expected.kind, "language": expected.language})],
            "refund-agent": SCRIPTS[name],
            "parcel-desk": [track, say("The carrier has it.")],
        }
    )
