"""A till's day: it sells without a network, dies, comes back, and what both sides changed is decided by a person."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from tillsync import Refused, Till

from .conftest import SOON, Opener, Store, until, until_event

#: The till of the morning, in a process that is killed between two sales: the second is not on the disk.
MORNING = """
import json, os, sys
from decimal import Decimal
from tillsync import Till
path, url, hash = sys.argv[1:]
till = Till(path, store_hash=hash, api_url=url, author="ana")
with till.transaction(label="sale 1") as sale:
    sale.execute("CREATE TABLE my_sale (customer_id INTEGER, total TEXT)")
    sale.execute("INSERT INTO my_sale VALUES (1, ?)", (Decimal("99.90"),))
    sale.set(1, phone="555-0142", notes="Wants a receipt by email")
    sale.credit(1, Decimal("12.50"))
    sale.credit(1, "-0.01")
print(json.dumps([sale.receipt.after, sale.receipt.up_to, till.worker_pid]), flush=True)
till.connection.execute("BEGIN IMMEDIATE")
till.connection.execute("UPDATE customer SET phone = 'never' WHERE id = 1")
os.kill(os.getpid(), 9)
"""


def test_a_day(store: Store, opened: Opener, tmp_path: Path) -> None:
    path = tmp_path / "till.db"
    with opened(path) as till:
        assert till.wait_for_customers(SOON)
        before = till.customer(1)
    assert before is not None and before.balance is not None

    # The network is gone, and the till sells; then it dies in the middle of a sale, and its worker with it.
    store.cut()
    environment = {**os.environ, "BIGCOMMERCE_ACCESS_TOKEN": store.token}
    morning = [sys.executable, "-c", MORNING, str(path), store.url, store.hash]
    died = subprocess.run(morning, env=environment, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    after, up_to, worker = json.loads(died.stdout)
    until(lambda: not is_alive(worker))
    with opened(path, sync=False) as report:
        edited = report.customer(1)
        assert edited is not None
        assert (edited.phone, edited.balance) == ("555-0142", before.balance + Decimal("12.49"))
        assert [(row.op, row.value, row.author, row.label) for row in report.log(1)][:2] == [
            ("adjust", Decimal("-0.01"), "ana", "sale 1"),
            ("adjust", Decimal("12.50"), "ana", "sale 1"),
        ]
        assert report.status().unsent == up_to - after

    # It comes back; the office has changed the phone meanwhile, and everything else goes up.
    store.office(1, phone="555-0199")
    store.heal()
    till = opened(path, author="ben")
    until(lambda: till.to_decide(1))
    conflict = till.to_decide(1)[0]
    assert (conflict.kind, conflict.field, conflict.local, conflict.remote) == ("conflict", "phone", "555-0142", "555-0199")
    refuse_what_has_moved_on(till, store)
    shown = till.to_decide(1)[0]
    assert shown.remote == "555-0200"
    till.resolve(shown, "local")
    assert till.to_decide(1) == []
    until(lambda: store.customer(1)["phone"] == "555-0142")
    until(lambda: store.customer(1)["notes"] == "Wants a receipt by email")
    amount = json.dumps(store.customer(1)["store_credit_amounts"][0]["amount"])
    assert Decimal(amount) == before.balance + Decimal("12.49")
    assert till.connection.execute("SELECT total FROM my_sale").fetchall() == [("99.90",)]
    until(lambda: till.status().unsent == 0)
    store.assert_no_violations()


def refuse_what_has_moved_on(till: Till, store: Store) -> None:
    """A decision covers what was shown."""
    shown = till.to_decide(1)[0]
    store.office(1, phone="555-0200")
    till.sync_now()
    until(lambda: till.to_decide(1)[0].seen != shown.seen)
    try:
        till.resolve(shown, "local")
    except Refused as refused:
        assert refused.code == "refused"
    else:
        raise AssertionError("it covered what nobody was shown")


def test_events_come_in_order(till: Till) -> None:
    until_event(till, "sync_finished")
    receipt = till.edit(3, phone="1")
    names = []
    while (event := till.events.next(SOON)) is not None:
        names.append((event.name, event.customer_id, event.field))
        if event.name == "sync_finished" and ("edit_uploaded", 3, "phone") in names:
            break
    uploaded = names.index(("edit_uploaded", 3, "phone"))
    assert ("sync_started", None, None) in names[:uploaded]
    assert till.wait(receipt, SOON).kind == "uploaded"


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
