"""Application: the tables of the shop, and the rows a new shop starts with.

The same seed gives the same rows, except that dates count back from the day the shop is made. All
people are invented. A shop that exists is never touched. To make one by hand:

    python -m tools.shop_seed [FILE]
"""

import random
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from tools.database import Database

SCHEMA = (
    "CREATE TABLE customers (email TEXT PRIMARY KEY, name TEXT NOT NULL)",
    """CREATE TABLE orders (
        number INTEGER PRIMARY KEY,
        customer TEXT NOT NULL REFERENCES customers,
        ordered_on TEXT NOT NULL,
        currency TEXT NOT NULL DEFAULT 'EUR',
        status TEXT NOT NULL CHECK (status IN ('delivered', 'shipped', 'lost', 'cancelled')))""",
    """CREATE TABLE lines (
        order_number INTEGER NOT NULL REFERENCES orders,
        item TEXT NOT NULL,
        price_cents INTEGER NOT NULL CHECK (price_cents > 0),
        PRIMARY KEY (order_number, item))""",
    """CREATE TABLE shipments (
        order_number INTEGER PRIMARY KEY REFERENCES orders,
        carrier TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('delivered', 'in transit', 'lost')),
        last_scan TEXT NOT NULL)""",
    """CREATE TABLE refunds (
        refund INTEGER PRIMARY KEY,
        order_number INTEGER NOT NULL REFERENCES orders,
        amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
        reason TEXT NOT NULL,
        issued_on TEXT NOT NULL,
        key TEXT NOT NULL UNIQUE)""",
    """CREATE TABLE refund_policies (
        reason TEXT PRIMARY KEY,
        covered INTEGER NOT NULL CHECK (covered IN (0, 1)),
        window_days INTEGER NOT NULL,
        text TEXT NOT NULL)""",
    """CREATE TABLE cases (
        number INTEGER PRIMARY KEY,
        reason TEXT NOT NULL,
        customer TEXT NOT NULL,
        ticket TEXT NOT NULL,
        opened_on TEXT NOT NULL,
        key TEXT NOT NULL UNIQUE)""",
    "CREATE TABLE sent_mails (key TEXT PRIMARY KEY, message_id TEXT NOT NULL, sent_on TEXT NOT NULL)",
)

POLICIES = (
    ("damaged", 1, 180, "Items that arrive damaged or stop working are refunded in full for 180 days."),
    ("not_arrived", 1, 90, "Orders that the carrier lost are refunded in full for 90 days."),
    ("wrong_item", 1, 90, "If we sent the wrong item, the order is refunded in full for 90 days."),
    ("changed_mind", 1, 14, "Unused items are refunded for 14 days after the order, if the customer sends them back."),
    ("other", 0, 0, "Other reasons are not covered by the refund policy; a colleague has to decide."),
)


@dataclass(frozen=True)
class Sale:
    """An order as it is put into a new shop; `age` is in days, `lines` are (item, price in cents)."""

    number: int
    customer: str
    age: int
    status: str
    lines: tuple[tuple[str, int], ...]


TICKET_CUSTOMERS = {
    "maria.lindqvist@example.com": "Maria Lindqvist",
    "tom.becker@example.com": "Tom Becker",
    "rosa.marin@example.com": "Rosa Marin",
    "ines.duarte@example.com": "Ines Duarte",
    "juergen.krause@example.com": "Jürgen Krause",
    "nina.patel@example.com": "Nina Patel",
    "liam.oconnor@example.com": "Liam O'Connor",
    "viktor.hale@example.com": "Viktor Hale",
    "olga.marsh@example.com": "Olga Marsh",
    "sam.reed@example.com": "Sam Reed",
    "aiko.tan@example.com": "Aiko Tan",
    "paul.weiss@example.com": "Paul Weiss",
}

# What the tickets in examples/tickets speak of, and one that two people approve. No order 9999: a ticket asks for it.
TICKET_SALES = (
    Sale(1042, "maria.lindqvist@example.com", 9, "delivered", (("coffee grinder", 8900),)),
    Sale(1043, "maria.lindqvist@example.com", 3, "delivered", (("paper filters", 2400),)),
    Sale(1051, "tom.becker@example.com", 5, "delivered", (("tea strainer", 1850),)),
    Sale(1060, "rosa.marin@example.com", 12, "delivered", (("kettle", 4990),)),
    Sale(1071, "ines.duarte@example.com", 11, "delivered", (("mug set", 3200),)),
    Sale(1072, "ines.duarte@example.com", 8, "delivered", (("kitchen scale", 2750),)),
    Sale(1080, "juergen.krause@example.com", 6, "delivered", (("Kaffeemühle", 6400),)),
    Sale(1090, "nina.patel@example.com", 75, "delivered", (("french press", 4500),)),
    Sale(1101, "liam.oconnor@example.com", 14, "lost", (("milk frother", 3900),)),
    Sale(1110, "viktor.hale@example.com", 10, "delivered", (("espresso machine", 124900),)),
    Sale(1115, "olga.marsh@example.com", 6, "delivered", (("roaster", 65000),)),
    Sale(1120, "sam.reed@example.com", 8, "delivered", (("gift card set", 7500),)),
    Sale(1130, "aiko.tan@example.com", 4, "shipped", (("pour-over set", 5800),)),
)

OTHER_NUMBERS = (*range(1001, 1042), *range(1131, 1148))
REFUNDED = 10
OTHER_CUSTOMERS = (
    "Ada Sandberg, Bela Olsen, Carl Winter, Dora Castell, Emil Torres, Fenja Bosch, Gero Nagy, Hanna Rossi, "
    "Ivo Brandt, Jana Ekman, Kaspar Lund, Lena Prado, Milo Vogel, Nora Conti, Otto Falk, Petra Iversen, "
    "Quentin Abel, Rita Jansen, Stefan Moreau, Tilda Gruber, Ugo Keller, Vera Holm, Wim Arden, Xenia Dahl, "
    "Yara Ulrich, Zeno Quist, Alba Zander, Bruno Xaver, Clara Ylmaz"
)
CATALOGUE = (
    ("hand grinder", 5490),
    ("cold brew jar", 2990),
    ("espresso cups", 2450),
    ("moka pot", 3490),
    ("tea pot", 4200),
    ("coffee beans 1 kg", 2290),
    ("descaler", 990),
    ("water filter", 1690),
    ("thermos flask", 3190),
    ("barista scale", 8900),
    ("milk jug", 1990),
    ("drip machine", 11900),
)
CARRIERS = ("Nordpost", "Parcelway", "Swiftline")
REASONS = ("damaged", "not_arrived", "wrong_item")


def create(path: Path, today: date | None = None, seed: int = 1) -> bool:
    """Make the shop in the file `path`; False if there is something in it already, which stays as it is.

    Raises:
        OSError: the folder cannot be made.
        sqlite3.Error: the file cannot be written, or is no database.
    """
    return SHOP.create(path, lambda shop: _fill(shop, today, seed))


def _fill(shop: sqlite3.Connection, today: date | None = None, seed: int = 1) -> None:
    today = today or datetime.now(UTC).date()
    rng = random.Random(seed)  # noqa: S311 - no secret is drawn
    others = {f"{name.lower().replace(' ', '.')}@example.com": name for name in OTHER_CUSTOMERS.split(", ")}
    sales = (*TICKET_SALES, *_other_sales(rng, ["paul.weiss@example.com", *others]))
    shop.executemany("INSERT INTO customers VALUES (?, ?)", [*TICKET_CUSTOMERS.items(), *others.items()])
    shop.executemany(
        "INSERT INTO orders (number, customer, ordered_on, status) VALUES (?, ?, ?, ?)",
        [(sale.number, sale.customer, _ago(today, sale.age), sale.status) for sale in sales],
    )
    shop.executemany("INSERT INTO lines VALUES (?, ?, ?)", [(s.number, *line) for s in sales for line in s.lines])
    shop.executemany("INSERT INTO shipments VALUES (?, ?, ?, ?)", _shipments(rng, sales, today))
    shop.executemany(
        "INSERT INTO refunds (order_number, amount_cents, reason, issued_on, key) VALUES (?, ?, ?, ?, ?)",
        _refunds(rng, sales, today),
    )
    shop.executemany("INSERT INTO refund_policies VALUES (?, ?, ?, ?)", POLICIES)


def _other_sales(rng: random.Random, customers: Sequence[str]) -> Iterator[Sale]:
    for position, number in enumerate(OTHER_NUMBERS):
        status = rng.choices(("delivered", "shipped", "lost", "cancelled"), weights=(80, 8, 4, 8))[0]
        age = rng.randint(2, 6) if status == "shipped" else rng.randint(8, 180)
        lines = rng.sample(CATALOGUE, k=rng.choice((1, 1, 1, 2)))
        # In turn, not by chance: so everybody has an order.
        yield Sale(number, customers[position % len(customers)], age, status, tuple(lines))


def _shipments(rng: random.Random, sales: Sequence[Sale], today: date) -> Iterator[tuple[int, str, str, str]]:
    states = {"delivered": "delivered", "shipped": "in transit", "lost": "lost"}
    for sale in sales:
        if sale.status in states:
            last_scan = _ago(today, max(sale.age - 2, 0))
            yield sale.number, rng.choice(CARRIERS), states[sale.status], last_scan


def _refunds(rng: random.Random, sales: Sequence[Sale], today: date) -> Iterator[tuple[int, int, str, str, str]]:
    delivered = [sale for sale in sales if sale.number in OTHER_NUMBERS and sale.status == "delivered"]
    for sale in rng.sample(delivered, k=REFUNDED):
        amount = rng.choice(sale.lines)[1]
        yield sale.number, amount, rng.choice(REASONS), _ago(today, sale.age - 5), f"seed-{sale.number}"


def _ago(today: date, days: int) -> str:
    return (today - timedelta(days=days)).isoformat()


SHOP = Database("shop", "SHOP_DB", ".mainspring/shop.db", SCHEMA, _fill)
"""`SHOP_DB` says where the shop's file is."""


def main() -> int:
    """Make the shop named on the command line, or else the one the tools use; return the exit code."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else SHOP.place()
    try:
        made = create(path)
    except (OSError, sqlite3.Error) as error:
        sys.stderr.write(f"The shop {str(path)!r} cannot be made: {error}. Name a new file in a writable folder.\n")
        return 1
    sys.stdout.write(
        f"Made the shop {str(path)!r}.\n" if made else f"{str(path)!r} exists and stays; delete it to start anew.\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
