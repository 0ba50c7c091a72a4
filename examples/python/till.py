#!/usr/bin/env python3
"""A till in Python: reads and edits through its own sqlite3, and has `tillsync worker` sync in a process of its own.
Nothing to install.

    BIGCOMMERCE_ACCESS_TOKEN=… examples/python/till.py target/release/tillsync till.db \
        https://api.bigcommerce.com abc123 42

With a number of seconds behind it, it sells as fast as it can for so long.
"""

import json
import queue
import sqlite3
import subprocess
import sys
import threading
import time


GONE = {"code": "gone", "message": "the worker has ended", "hint": "start it again"}


class Refused(Exception):
    """What the worker answers when something was not done."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.code, self.hint = error["code"], error["hint"]


class Worker:
    """The process that syncs. It ends with this one, however this one ends: its input is a pipe of ours."""

    def __init__(self, tillsync, path, *flags):
        self._process = subprocess.Popen(
            [tillsync, "worker", "--json", "--db", path, *flags],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
        )
        first = self._process.stdout.readline()
        ready = json.loads(first) if first else {"error": GONE}
        if "error" in ready:
            raise Refused(ready["error"])
        self.events, self._answers, self._asked = queue.Queue(), {}, 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        """Until the worker ends; whoever waits for an answer then is told."""
        for line in self._process.stdout:
            said = json.loads(line)
            if "event" in said:
                self.events.put(said)
            elif "id" in said:
                self._answers.pop(said["id"]).put(said)
        self.events.put({"event": "worker_ended"})
        for answer in list(self._answers.values()):
            answer.put({"error": GONE})

    def call(self, command, **request):
        """Asks, and waits for the answer. The till never needs to: edits go up by themselves."""
        self._asked += 1
        mine, self._answers[mine] = self._asked, queue.Queue()
        answer = self._answers[mine]
        self._process.stdin.write(json.dumps({"command": command, "id": mine, **request}) + "\n")
        self._process.stdin.flush()
        said = answer.get()
        if "error" in said:
            raise Refused(said["error"])
        return said

    def stop(self):
        self.call("stop", within_ms=5000)
        self._process.wait()


def open_file(path):
    file = sqlite3.connect(path, isolation_level=None, timeout=10)
    file.execute("PRAGMA synchronous = FULL")
    file.execute("PRAGMA wal_autocheckpoint = 20000")
    file.execute("CREATE TABLE IF NOT EXISTS my_sale (id INTEGER PRIMARY KEY, customer_id INTEGER, total TEXT)")
    return file


def newest_edit(file):
    return file.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()[0]


def sell(file, customer, phone):
    """The till's own row and the customer's edits, together or not at all. What it returns names these edits."""
    file.execute("BEGIN IMMEDIATE")
    try:
        after = newest_edit(file)
        file.execute("UPDATE edit_context SET author = 'ana', label = 'sale 1042'")
        file.execute("UPDATE customer SET phone = ? WHERE id = ?", (phone, customer))
        file.execute("INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (?, '0.01')", (customer,))
        file.execute("INSERT INTO my_sale (customer_id, total) VALUES (?, ?)", (customer, "12.50"))
        file.execute("UPDATE edit_context SET author = NULL, label = NULL")
        receipt = {"after": after, "up_to": newest_edit(file)}
        file.execute("COMMIT")
        return receipt
    except BaseException:
        file.execute("ROLLBACK")
        raise


def main(tillsync, path, api_url, store_hash, customer, seconds):
    flags = ["--create", "--api-url", api_url, "--store-hash", store_hash]
    if seconds:
        flags += ["--debounce-ms", "0", "--look-ms", "5"]
    worker = Worker(tillsync, path, *flags)
    # The first time, the customers must come in.
    while (event := worker.events.get(timeout=60))["event"] != "sync_finished":
        pass
    print("pulled", event["pulled"])

    file = open_file(path)
    if seconds:
        receipt = sell_for(file, seconds)
    else:
        receipt = sell(file, customer, "+49 30 901820")
        print("sold to", *file.execute("SELECT company, phone FROM customer WHERE id = ?", (customer,)).fetchone())

    # What the store would not take is refused there and then.
    try:
        file.execute("UPDATE customer SET date_created = 'now' WHERE id = ?", (customer,))
    except sqlite3.Error as error:
        print(str(error).split("tillsync refused: ")[-1].rstrip("'"))

    fate = worker.call("wait", receipt=receipt, timeout_ms=60000)
    print(fate["fate"], fate.get("date_modified"))
    print("pending", worker.call("status")["pending_fields"])
    worker.stop()
    file.close()
    return 0 if fate["fate"] in ("uploaded", "superseded") else 1


def sell_for(file, seconds):
    """To one customer after the other; each phone is the number of its sale."""
    customers = [row[0] for row in file.execute("SELECT id FROM customer ORDER BY id")]
    until, sold = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        sold += 1
        receipt = sell(file, customers[sold % len(customers)], str(sold))
    print("sold", sold)
    return receipt


if __name__ == "__main__":
    if len(sys.argv) not in (6, 7):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:5], int(sys.argv[5]), float(sys.argv[6]) if len(sys.argv) == 7 else 0))
