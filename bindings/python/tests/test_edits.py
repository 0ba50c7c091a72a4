"""Edits, by methods and by SQL; what is refused, and how that is told."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import fields
from datetime import timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from tillsync import Customer, Locked, Refused, Seen, Till, TillError
from tillsync.records import _SHOWN_ONLY, EDITABLE

from .conftest import SOON, Opener, Store, until


def test_a_refusal_says_who_what_and_how_much(till: Till) -> None:
    for edit in (
        lambda: till.edit(2, email="x" * 252 + "@a.b"),
        lambda: till.connection.execute("UPDATE customer SET email = ? WHERE id = 2", ("x" * 252 + "@a.b",)),
    ):
        with pytest.raises(Refused) as refused:
            edit()
        error = refused.value
        assert (error.code, error.customer_id, error.field, error.limit) == ("refused", 2, "email", 255)
        assert error.message == "customer 2: email: has 256 characters, at most 255 are allowed"
        assert error.hint and isinstance(error, sqlite3.Error)
    with pytest.raises(Refused) as refused:
        till.edit(2, date_created="now")
    assert (refused.value.field, refused.value.limit) == ("date_created", None)
    with pytest.raises(Refused) as nonsense:
        till.edit(2, nonsense="x")
    assert (nonsense.value.code, nonsense.value.customer_id, nonsense.value.field) == ("refused", 2, "nonsense")
    assert nonsense.value.message == "customer 2: nonsense: is no attribute of a customer"
    assert nonsense.value.hint and "first_name" in nonsense.value.hint
    assert till.log() == []


def test_nobody_who_is_not_in_the_file_is_edited_by_any_way(till: Till) -> None:
    def password() -> None:
        with till.transaction() as sale:
            sale.new_password(999, "correct horse")

    for edit in (lambda: till.edit(999, phone="1"), lambda: till.credit(999, 1), password):
        with pytest.raises(Refused) as unknown:
            edit()
        error = unknown.value
        assert (error.code, error.customer_id, error.message) == ("unknown_customer", 999, "customer 999 is not in this file")
        assert error.hint and "find" in error.hint
    assert till.log() == []


def test_every_attribute_that_an_edit_may_set_is_known(till: Till) -> None:
    with pytest.raises(TillError) as error:
        till.command("edit", "1", "nonsense=1")
    told = error.value.message.partition("editable are ")[2].split(", ")
    assert sorted(told) == sorted((*EDITABLE, "new_password"))
    shown = {field.name for field in fields(Customer)} - {"id", "balance"}
    assert shown - set(EDITABLE) == set(_SHOWN_ONLY)
    for name in _SHOWN_ONLY:
        with pytest.raises(Refused) as refused:
            till.edit(1, **{name: "9"})
        assert refused.value.field == name


def test_a_hint_fits_what_was_refused(till: Till) -> None:
    with pytest.raises(Refused) as below:
        till.credit(1, -1_000_000)
    assert below.value.hint == 'take less, or say who allows it: allowed_by="ana"'
    with pytest.raises(Refused) as stale:
        till.discard(Seen('["rejected",1]'))
    assert stale.value.hint == "look at it again: to_decide"
    with pytest.raises(Refused) as guarded:
        till.connection.execute("INSERT INTO state VALUES ('a', 'b')")
    assert guarded.value.hint == "nothing was done; docs/sql.md says what may be written, and how"


def test_other_errors_are_sqlites_own(till: Till) -> None:
    with pytest.raises(sqlite3.OperationalError) as error:
        till.connection.execute("SELEC 1")
    assert not isinstance(error.value, TillError)


def test_a_transaction_that_is_left_by_an_exception_leaves_nothing(till: Till) -> None:
    with pytest.raises(ZeroDivisionError), till.transaction() as sale:
        sale.set(1, phone="1")
        sale.execute("CREATE TABLE my_sale (total TEXT)")
        1 / 0
    assert till.log() == []
    assert till.connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'my_sale'").fetchall() == []
    with pytest.raises(TillError, match="not ended well"):
        sale.receipt
    assert till.connection.execute("SELECT author, label FROM edit_context").fetchall() == [(None, None)]
    with till.transaction(), pytest.raises(TillError, match="has a transaction open"), till.transaction():
        pass


def test_a_refused_statement_does_nothing_and_the_transaction_goes_on(till: Till) -> None:
    with till.transaction(author="ana") as sale:
        sale.set(1, phone="1")
        with pytest.raises(Refused):
            sale.set(1, phone="2", email="no")
    till.connection.execute("UPDATE customer SET company = 'nobody signs it' WHERE id = 1")
    assert [(row.field, row.value, row.author) for row in till.log()] == [
        ("company", "nobody signs it", None),
        ("phone", "1", "ana"),
    ]


def test_values_come_back_as_they_went_in(till: Till, store: Store) -> None:
    forms = [{"name": "size", "value": "M"}, {"name": "shoe", "value": Decimal("42.5")}]
    with till.transaction() as sale:
        sale.set(4, company="Søn & Œuvre, 京都 🛒", customer_group_id=0, force_password_reset=True)
        sale.set(4, form_fields=forms, channel_ids=[1], notes="")
        sale.new_password(4, "correct horse")
    customer = till.customer(4)
    assert customer is not None
    assert (customer.company, customer.customer_group_id) == ("Søn & Œuvre, 京都 🛒", 0)
    assert (customer.force_password_reset, customer.channel_ids, customer.notes) == (True, [1], "")
    assert customer.form_fields == forms and isinstance(customer.form_fields[1]["value"], Decimal)
    assert customer.date_created is not None and customer.date_created.utcoffset() == timedelta(0)
    journaled = till.log()[0].at
    assert journaled is not None and journaled.tzinfo == timezone.utc
    assert till.customer(999) is None
    assert till.wait(sale.receipt, SOON).kind == "uploaded"
    assert store.customer(4)["company"] == "Søn & Œuvre, 京都 🛒"
    store.assert_no_violations()


def test_nothing_is_not_a_value_where_the_store_has_one(till: Till) -> None:
    with pytest.raises(Refused) as refused:
        till.edit(1, phone=None)
    assert refused.value.field == "phone"


def test_money_is_exact_and_floats_are_no_money(till: Till) -> None:
    before = till.customer(1)
    assert before is not None and before.balance is not None
    for _ in range(3):
        till.credit(1, Decimal("0.1"))
    till.connection.execute(
        "INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (?, ?)", (1, Decimal("1E+2"))
    )
    after = till.customer(1)
    assert after is not None and after.balance == before.balance + Decimal("100.3")
    for wrong in (0.1, True):
        with pytest.raises(TillError) as usage:
            till.credit(1, wrong)  # type: ignore[arg-type]
        assert usage.value.code == "usage"
    with pytest.raises(Refused):
        till.credit(1, Decimal("0.00001"))
    with pytest.raises(Refused) as below:
        till.credit(1, Decimal(-10) ** 6 * -1)
    assert below.value.field == "store_credit_amounts"
    till.credit(1, -(after.balance + 1), allowed_by="ana")
    overdrawn = till.customer(1)
    assert overdrawn is not None and overdrawn.balance == -1
    assert [row.allowed_by for row in till.log(limit=2)] == ["ana", None]


def test_an_app_may_have_rows_of_its_own(till: Till) -> None:
    till.connection.row_factory = lambda cursor, row: {column[0]: value for column, value in zip(cursor.description, row)}
    till.edit(1, phone="1")
    assert till.connection.execute("SELECT phone FROM customer WHERE id = 1").fetchone() == {"phone": "1"}
    customer = till.customer(1)
    assert customer is not None and customer.phone == "1"
    assert till.log()[0].value == "1" and till.to_decide() == []


def test_two_threads_sell_at_once(till: Till, store: Store) -> None:
    def sell(customer_id: int) -> None:
        for number in range(40):
            with till.transaction(author=f"till {customer_id}") as sale:
                sale.set(customer_id, phone=str(number))
                sale.credit(customer_id, "0.01")

    before = [till.customer(id) for id in (1, 2)]
    threads = [threading.Thread(target=sell, args=(id,)) for id in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = [till.customer(id) for id in (1, 2)]
    assert [c.balance - b.balance for c, b in zip(after, before)] == [Decimal("0.40")] * 2  # type: ignore[union-attr, operator]
    until(lambda: till.status().unsent == 0)
    assert [store.customer(id)["phone"] for id in (1, 2)] == ["39", "39"]
    store.assert_no_violations()


def test_a_file_that_another_program_holds_is_locked_and_no_edit_is_half_done(opened: Opener) -> None:
    till = opened(timeout=0.2)
    assert till.wait_for_customers(SOON)
    other = sqlite3.connect(till.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Locked) as locked:
        till.edit(1, phone="1")
    assert locked.value.code == "locked" and isinstance(locked.value, sqlite3.OperationalError)
    other.execute("ROLLBACK")
    other.close()
    till.edit(1, phone="1")
    assert len(till.log()) == 1


def test_a_path_may_be_of_any_letters(opened: Opener, tmp_path: Path) -> None:
    folder = tmp_path / "Käse & Brot? 100% 京都 #1"
    folder.mkdir()
    till = opened(folder / "till 🛒.db")
    assert till.wait_for_customers(SOON)
    assert till.wait(till.edit(1, phone="1"), SOON).kind == "uploaded"
    assert sorted(path.name for path in folder.iterdir() if path.suffix == ".db") == ["till 🛒.db"]


def test_a_file_that_is_not_there_is_not_made(opened: Opener, tmp_path: Path) -> None:
    for settings in ({"create": False}, {"sync": False}):
        with pytest.raises(TillError) as error:
            opened(tmp_path / "none.db", **settings)
        assert error.value.code == "not_there"
    assert list(tmp_path.glob("none*")) == []
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(TillError) as error:
        opened(tmp_path / "other.db", sync=False)
    assert error.value.code == "not_a_till"


def test_where_a_till_was_moved_or_deleted_none_is_begun(opened: Opener, till: Till) -> None:
    till.wait(till.edit(1, phone="1"), SOON)
    till.close()
    moved = till.path.rename(till.path.with_name("moved.db"))
    with pytest.raises(TillError) as gone:
        opened()
    assert gone.value.code == "usage" and gone.value.hint and "tillsync create" in gone.value.hint
    assert not till.path.exists()
    moved.rename(till.path)
    there = opened().customer(1)
    assert there is not None and there.phone == "1"
