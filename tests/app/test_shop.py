"""The shop's tools, on a real SQLite file."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mainspring import NotDone, SetupError, Tool, ToolError
from tests.app.calling import call, rows
from tools import database, shop, shop_seed

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for a shop, which the first tool call makes."""
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "new" / "shop.db"))
    return tmp_path / "new" / "shop.db"


class TestTheSeed:
    def test_same_seed_same_rows(self, tmp_path: Path) -> None:
        """Two shops made on one day are equal, row by row."""
        dumps: list[list[str]] = []
        for path in (tmp_path / "a.db", tmp_path / "b.db"):
            assert shop_seed.create(path, date(2025, 3, 1))
            with closing(sqlite3.connect(path)) as connection:
                dumps.append(list(connection.iterdump()))

        assert dumps[0] == dumps[1]

    def test_dates_follow_the_day(self, tmp_path: Path) -> None:
        """A shop made ten days later has the same orders, ten days later."""
        for day in (1, 11):
            shop_seed.create(tmp_path / f"{day}.db", date(2025, 3, day))

        query = "SELECT number, customer, julianday(ordered_on) - {} FROM orders"
        assert rows(tmp_path / "1.db", query.format(0)) == rows(tmp_path / "11.db", query.format(10))

    @pytest.mark.parametrize(
        ("table", "count"), [("customers", 41), ("orders", 71), ("refunds", 10), ("cases", 0), ("sent_mails", 0)]
    )
    def test_size(self, tmp_path: Path, table: str, count: int) -> None:
        """A new shop has the size of a small real one, and no cases yet."""
        shop_seed.create(tmp_path / "shop.db")

        assert rows(tmp_path / "shop.db", f"SELECT count(*) FROM {table}") == [(count,)]

    def test_amounts_and_dates_are_possible(self, tmp_path: Path) -> None:
        """Nothing is refunded beyond its price, scanned before it was ordered, or dated in the future."""
        shop_seed.create(tmp_path / "shop.db", date(2025, 3, 1))

        assert not rows(
            tmp_path / "shop.db",
            """SELECT number FROM orders LEFT JOIN shipments ON order_number = number
            WHERE last_scan < ordered_on OR last_scan > '2025-03-01' OR ordered_on > '2025-03-01'
            OR (SELECT sum(amount_cents) FROM refunds WHERE order_number = number)
                > (SELECT sum(price_cents) FROM lines WHERE order_number = number)""",
        )

    def test_existing_shop_is_kept(self, tmp_path: Path) -> None:
        """Making a shop where there is one changes nothing and says so."""
        shop_seed.create(tmp_path / "shop.db", date(2025, 3, 1))

        assert not shop_seed.create(tmp_path / "shop.db", date(2025, 4, 1))
        assert rows(tmp_path / "shop.db", "SELECT max(ordered_on) <= '2025-03-01' FROM orders") == [(1,)]

    def test_script_says_what_is_wrong(self, tmp_path: Path) -> None:
        """`python -m tools.shop_seed` answers a bad place with a sentence and exit code 1."""
        (tmp_path / "file").write_text("")
        command = [sys.executable, "-m", "tools.shop_seed", str(tmp_path / "file" / "shop.db")]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

        assert ended.returncode == 1
        assert "cannot be made" in ended.stderr
        assert "Traceback" not in ended.stderr


class TestTheFile:
    def test_processes_that_come_first_together(self, file: Path) -> None:
        """Of processes that all find no shop, one makes it and the others find it whole."""
        script = (
            "from tools import shop_seed; made = shop_seed.create(shop_seed.SHOP.place()); "
            "import sqlite3; orders = 'SELECT count(*) FROM orders'; "
            "print(made, *sqlite3.connect(shop_seed.SHOP.place()).execute(orders).fetchone())"
        )
        command = [sys.executable, "-c", script]
        started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(6)]

        said = sorted(process.communicate()[0].strip() for process in started)
        assert said == ["False 71"] * 5 + ["True 71"]

    def test_not_a_shop(self, file: Path) -> None:
        """A database of somebody else is refused by name, and left alone."""
        file.parent.mkdir()
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE theirs (x)")

        with pytest.raises(SetupError, match=r"shop\.db.*not a shop.*SHOP_DB"):
            call(shop.find_order, order=1042)
        assert rows(file, "SELECT name FROM sqlite_master") == [("theirs",)]

    def test_no_database(self, file: Path) -> None:
        """A file that is no database is refused by name."""
        file.parent.mkdir()
        file.write_text("not a database, but long enough to be taken for the head of one" * 20)

        with pytest.raises(SetupError, match=r"shop\.db.*SHOP_DB"):
            call(shop.find_order, order=1042)

    def test_no_folder(self, file: Path) -> None:
        """A folder that cannot be made is answered with the variable to set."""
        file.parent.write_text("a file where the folder should be")

        with pytest.raises(SetupError, match="SHOP_DB"):
            call(shop.find_order, order=1042)


@pytest.mark.usefixtures("file")
class TestLookingUp:
    @pytest.mark.parametrize(
        "facts",
        [
            (1042, "Maria Lindqvist", "coffee grinder", 8900, 9, "delivered"),
            (1043, "Maria Lindqvist", "paper filters", 2400, 3, "delivered"),
            (1051, "Tom Becker", "tea strainer", 1850, 5, "delivered"),
            (1060, "Rosa Marin", "kettle", 4990, 12, "delivered"),
            (1071, "Ines Duarte", "mug set", 3200, 11, "delivered"),
            (1072, "Ines Duarte", "kitchen scale", 2750, 8, "delivered"),
            (1080, "Jürgen Krause", "Kaffeemühle", 6400, 6, "delivered"),
            (1090, "Nina Patel", "french press", 4500, 75, "delivered"),
            (1101, "Liam O'Connor", "milk frother", 3900, 14, "lost"),
            (1110, "Viktor Hale", "espresso machine", 124900, 10, "delivered"),
            (1120, "Sam Reed", "gift card set", 7500, 8, "delivered"),
            (1130, "Aiko Tan", "pour-over set", 5800, 4, "shipped"),
        ],
    )
    def test_orders_of_the_tickets(self, facts: tuple[int, str, str, int, int, str]) -> None:
        """The orders that the example tickets speak of are there as the tickets say."""
        number, customer, item, cents, age, status = facts
        order = call(shop.find_order, order=number)

        assert order["items"] == [{"item": item, "price_cents": cents}]
        assert (order["customer"], order["age_days"], order["status"]) == (customer, age, status)
        assert (order["total_cents"], order["refunded_cents"], order["currency"]) == (cents, 0, "EUR")

    def test_order_of_several_items(self, file: Path) -> None:
        """The total of an order is the sum of its items, and its refunds are summed as well."""
        shop_seed.create(file)
        ((number, total),) = rows(
            file,
            """SELECT order_number, sum(price_cents) FROM lines WHERE order_number NOT IN (SELECT order_number
            FROM refunds) GROUP BY order_number HAVING count(*) = 2 LIMIT 1""",
        )
        for key in ("a", "b"):
            call(shop.issue_refund, key, order=number, amount_cents=100, reason="damaged")

        order = call(shop.find_order, order=number)
        assert (len(order["items"]), order["total_cents"], order["refunded_cents"]) == (2, total, 200)

    def test_unknown_order(self) -> None:
        """An order that does not exist is told to the model in words."""
        with pytest.raises(ToolError, match="there is no order 9999; ask the customer to check the number"):
            call(shop.find_order, order=9999)

    def test_number_beyond_any_order(self) -> None:
        """A number too large for the database is a wrong argument, not a crash."""
        with pytest.raises(ValidationError, match="less than or equal to 999999"):
            call(shop.find_order, order=10**30)

    @pytest.mark.parametrize(("number", "status"), [(1042, "delivered"), (1101, "lost"), (1130, "in transit")])
    def test_parcels(self, number: int, status: str) -> None:
        """A parcel's state fits its order's."""
        assert call(shop.track_parcel, order=number)["status"] == status

    def test_parcel_of_a_cancelled_order(self, file: Path) -> None:
        """An order that was never sent has no parcel, which the model reads with the reason."""
        shop_seed.create(file)
        ((number,),) = rows(file, "SELECT number FROM orders WHERE status = 'cancelled' LIMIT 1")

        with pytest.raises(ToolError, match="has no parcel: its status is 'cancelled'"):
            call(shop.track_parcel, order=number)

    def test_policy(self) -> None:
        """A refund policy says whether a reason is covered and how long."""
        policy = call(shop.refund_policy, reason="damaged")

        assert (policy["reason"], policy["covered"], policy["window_days"]) == ("damaged", True, 180)
        assert call(shop.refund_policy, reason="other")["covered"] is False

    def test_unknown_reason(self) -> None:
        """An unknown reason is answered with the known ones."""
        with pytest.raises(ToolError, match=r"'rust'.*damaged, not_arrived, wrong_item, changed_mind, other"):
            call(shop.refund_policy, reason="rust")


class TestRefunding:
    def test_paid_once_per_key(self, file: Path) -> None:
        """The same call attempted twice pays once and gives the same refund."""
        first = call(shop.issue_refund, order=1042, amount_cents=8900, reason="damaged")
        second = call(shop.issue_refund, order=1042, amount_cents=8900, reason="damaged")

        assert first == second
        assert (first["order"], first["amount_cents"]) == (1042, 8900)
        assert rows(file, "SELECT amount_cents, key FROM refunds WHERE order_number = 1042") == [(8900, "key-1")]

    @pytest.mark.parametrize(
        ("order", "amount", "words"),
        [(1042, 8901, "too much"), (1042, 0, "more than 0"), (1042, -5, "more than 0"), (9999, 5, "no order 9999")],
    )
    def test_refused(self, file: Path, order: int, amount: int, words: str) -> None:
        """An amount the order does not allow, or an order that is not there, pays nothing."""
        with pytest.raises(ToolError, match=words):
            call(shop.issue_refund, order=order, amount_cents=amount, reason="damaged")

        assert rows(file, "SELECT count(*) FROM refunds") == [(10,)]

    def test_parts_until_nothing_is_left(self, file: Path) -> None:
        """Parts of an order can be refunded, together never more than it cost."""
        call(shop.issue_refund, "a", order=1042, amount_cents=8000, reason="damaged")

        with pytest.raises(ToolError, match="at most 900 can be"):
            call(shop.issue_refund, "b", order=1042, amount_cents=901, reason="damaged")
        call(shop.issue_refund, "c", order=1042, amount_cents=900, reason="damaged")

    def test_two_runs_at_once(self, file: Path) -> None:
        """Of many calls that each want the whole sum at the same time, exactly one is paid."""
        call(shop.find_order, order=1042)

        def refund(key: str) -> str:
            try:
                call(shop.issue_refund, key, order=1042, amount_cents=8900, reason="damaged")
            except ToolError:
                return "refused"
            return "paid"

        with ThreadPoolExecutor(8) as threads:
            assert sorted(threads.map(refund, "abcdefgh")) == ["paid"] + ["refused"] * 7
        assert rows(file, "SELECT sum(amount_cents) FROM refunds WHERE order_number = 1042") == [(8900,)]

    def test_busy_database(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A database that another writer holds is a certain 'not done', so the engine may try again."""
        call(shop.find_order, order=1042)
        monkeypatch.setattr(database, "PATIENCE", 0.01)
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(NotDone, match="no refund was issued"):
                call(shop.issue_refund, order=1042, amount_cents=8900, reason="damaged")


class TestHandingOver:
    def test_one_case_per_key(self, file: Path) -> None:
        """The same call attempted twice opens one case; another call opens another."""
        args = {"reason": "threatens to sue", "customer": "rosa.marin@example.com", "ticket": "I will sue you."}

        assert [call(shop.hand_over, key, **args)["case"] for key in ("a", "a", "b")] == [1, 1, 2]
        assert rows(file, "SELECT number, ticket FROM cases") == [(1, args["ticket"]), (2, args["ticket"])]


def test_every_tool_tells_the_model_what_to_give() -> None:
    """Every argument of every tool has a description, and the effects are as declared."""
    tools = [each for each in vars(shop).values() if isinstance(each, Tool)]

    for each in tools:
        properties: Any = each.spec.input_schema["properties"]
        assert all(field.get("description") for field in properties.values()), each.name
    assert {each.name: each.spec.effect for each in tools} == {
        "find_order": "read",
        "refund_policy": "read",
        "track_parcel": "read",
        "issue_refund": "once",
        "hand_over": "idempotent",
    }
