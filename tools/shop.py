"""Application: the shop's database as tools of an agent.

`SHOP_DB` names the SQLite file (default `.mainspring/shop.db`); the first use makes it, with the
rows of `shop_seed`. Money is integer cents, dates are ISO 8601 in UTC.
"""

import sqlite3
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from mainspring import Context, ToolError, tool
from tools.database import alone
from tools.shop_seed import SHOP

OrderNumber = Annotated[int, Field(ge=1, le=999_999)]


class Line(BaseModel):
    """One item of an order."""

    item: str
    price_cents: int


class Order(BaseModel):
    """An order; `refunded_cents` is what was paid back so far."""

    number: int
    customer: str
    email: str
    items: list[Line]
    total_cents: int
    currency: str
    ordered_on: str
    age_days: int
    status: Literal["delivered", "shipped", "lost", "cancelled"]
    refunded_cents: int


class RefundPolicy(BaseModel):
    """Whether a reason is covered, and for how many days after the order."""

    reason: str
    covered: bool
    window_days: int
    text: str


class Parcel(BaseModel):
    """Where a parcel is; `last_scan` is the date the carrier last saw it (delivered: that day)."""

    order: int
    carrier: str
    status: Literal["delivered", "in transit", "lost"]
    last_scan: str


class Refund(BaseModel):
    """A refund that was paid."""

    refund: int
    order: int
    amount_cents: int
    issued_on: str


class Case(BaseModel):
    """A case in the queue of the human colleagues."""

    case: int


@tool(effect="read", returns="trusted personal")
def find_order(order: OrderNumber) -> Order:
    """Look up one order: who ordered what and when, prices in cents, status, what was refunded so far.

    Args:
        order: The order number, such as 1042.
    """
    with SHOP.opened() as shop:
        return _order(shop, order)


@tool(effect="read", returns="trusted")
def refund_policy(reason: str) -> RefundPolicy:
    """Look up whether the shop refunds for a reason, and for how many days after the order.

    Args:
        reason: One of damaged, not_arrived, wrong_item, changed_mind, other.
    """
    with SHOP.opened() as shop:
        row = shop.execute("SELECT * FROM refund_policies WHERE reason = ?", (reason,)).fetchone()
        if row is None:
            known = ", ".join(each[0] for each in shop.execute("SELECT reason FROM refund_policies ORDER BY rowid"))
            raise ToolError(f"there is no refund policy for {reason!r}; use one of: {known}")
    return RefundPolicy.model_validate(dict(row))


@tool(effect="read", returns="trusted personal")
def track_parcel(order: OrderNumber) -> Parcel:
    """Ask the carrier's records where the parcel of an order is.

    Args:
        order: The order number, such as 1042.
    """
    with SHOP.opened() as shop:
        status = _order(shop, order).status
        row = shop.execute(
            'SELECT order_number AS "order", carrier, status, last_scan FROM shipments WHERE order_number = ?', (order,)
        ).fetchone()
    if row is None:
        raise ToolError(f"order {order} has no parcel: its status is {status!r}")
    return Parcel.model_validate(dict(row))


@tool(effect="once", returns="trusted")
def issue_refund(order: OrderNumber, amount_cents: int, reason: str, context: Context) -> Refund:
    """Pay money back to the customer of an order. This cannot be undone.

    Args:
        order: The order number, such as 1042.
        amount_cents: How much to pay back, in cents: 8900 is EUR 89.00.
        reason: One of damaged, not_arrived, wrong_item, changed_mind, other.
        context: Its key marks the row, so one call pays once however often it is attempted.
    """
    with SHOP.opened() as shop, alone(shop, "no refund was issued"):
        refund = _refund(shop, context.idempotency_key)
        if refund is None:
            _check_amount(_order(shop, order), amount_cents)
            shop.execute(
                "INSERT INTO refunds (order_number, amount_cents, reason, issued_on, key) VALUES (?, ?, ?, ?, ?)",
                (order, amount_cents, reason, _today().isoformat(), context.idempotency_key),
            )
            refund = _refund(shop, context.idempotency_key)
    return Refund.model_validate(refund)


@tool(effect="idempotent", returns="trusted")
def hand_over(reason: str, customer: str, ticket: str, context: Context) -> Case:
    """Put the ticket into the queue of the human colleagues, who will answer the customer.

    Args:
        reason: Why a person has to look at it, in one sentence.
        customer: The customer's name or mail address.
        ticket: What the customer wrote.
        context: Its key marks the row, so a repeated call finds the same case.
    """
    with SHOP.opened() as shop:
        shop.execute(
            """INSERT INTO cases (reason, customer, ticket, opened_on, key) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (key) DO NOTHING""",
            (reason, customer, ticket, _today().isoformat(), context.idempotency_key),
        )
        row = shop.execute("SELECT number FROM cases WHERE key = ?", (context.idempotency_key,)).fetchone()
    return Case(case=row["number"])


def refunds() -> list[Refund]:
    """Every refund that was paid, oldest first; for the demo and for whoever checks what is true."""
    with SHOP.opened() as shop:
        rows = shop.execute('SELECT refund, order_number AS "order", amount_cents, issued_on FROM refunds ORDER BY 1')
        return [Refund.model_validate(dict(row)) for row in rows]


def _order(shop: sqlite3.Connection, number: int) -> Order:
    row = shop.execute(
        """SELECT number, name AS customer, email, currency, ordered_on, status,
            (SELECT coalesce(sum(price_cents), 0) FROM lines WHERE order_number = number) AS total_cents,
            (SELECT coalesce(sum(amount_cents), 0) FROM refunds WHERE order_number = number) AS refunded_cents
        FROM orders JOIN customers ON email = customer WHERE number = ?""",
        (number,),
    ).fetchone()
    if row is None:
        raise ToolError(f"there is no order {number}; ask the customer to check the number")
    items = shop.execute("SELECT item, price_cents FROM lines WHERE order_number = ? ORDER BY rowid", (number,))
    age_days = (_today() - date.fromisoformat(row["ordered_on"])).days
    return Order.model_validate({**dict(row), "items": [dict(item) for item in items], "age_days": age_days})


def _check_amount(order: Order, amount_cents: int) -> None:
    left = order.total_cents - order.refunded_cents
    if amount_cents <= 0:
        raise ToolError(f"the amount must be more than 0 cents, not {amount_cents}")
    if amount_cents > left:
        raise ToolError(
            f"{amount_cents} cents is too much: order {order.number} cost {order.total_cents} cents, "
            f"of which {order.refunded_cents} are refunded, so at most {left} can be"
        )


def _refund(shop: sqlite3.Connection, key: str) -> dict[str, Any] | None:
    row = shop.execute(
        'SELECT refund, order_number AS "order", amount_cents, issued_on FROM refunds WHERE key = ?', (key,)
    ).fetchone()
    return dict(row) if row else None


def _today() -> date:
    return datetime.now(UTC).date()
