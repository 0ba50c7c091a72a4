"""A till whose engine lives in Python's own SQLite: it edits at full speed, in one transaction with its own tables, while
the worker syncs in the same process. Its connections come and go, and none of them is missed by the worker.

usage: till.py LIBRARY FILE API_URL STORE_HASH SECONDS MODULE; MODULE is sqlite3 or apsw. Prints what became of it, as JSON.
"""
import json
import os
import sys
import threading
import time

library, path, api_url, store_hash, seconds, module = sys.argv[1:]


class Refused(Exception):
    pass


def connect():
    if module == "apsw":
        import apsw

        file = apsw.Connection(path)
        file.enable_load_extension(True)
        file.load_extension(library)
        file.set_busy_timeout(10000)
        return file
    import sqlite3

    file = sqlite3.connect(path, timeout=10, isolation_level=None)
    file.enable_load_extension(True)
    file.execute("SELECT load_extension(?)", (library,))
    return file


def ask(file, function, *arguments):
    places = ", ".join("?" * len(arguments))
    (answer,) = next(iter(file.execute(f"SELECT {function}({places})", arguments)))
    answer = None if answer is None else json.loads(answer)
    if isinstance(answer, dict) and "error" in answer:
        raise Refused(answer["error"]["code"], answer["error"]["message"])
    return answer


def call(file, command, **more):
    return ask(file, "tillsync_call", json.dumps({"command": command, **more}))


def edit(file, number):
    file.execute("BEGIN IMMEDIATE")
    file.execute("INSERT INTO my_sale VALUES (?)", (number,))
    file.execute("UPDATE customer SET phone = ? WHERE id = ?", (f"555-{number}", customers[number % len(customers)]))
    file.execute("COMMIT")


def listen(heard, is_over):
    """Another connection, on another thread."""
    file = connect()
    while not is_over.is_set():
        event = ask(file, "tillsync_next_event", 50)
        if event:
            heard[event["event"]] = heard.get(event["event"], 0) + 1
    file.close()


file = connect()
ask(file, "tillsync_open", json.dumps({
    "api_url": api_url, "store_hash": store_hash, "access_token": os.environ["BIGCOMMERCE_ACCESS_TOKEN"],
}))
call(file, "pull")
customers = [id for (id,) in file.execute("SELECT id FROM customer ORDER BY id")]
file.execute("CREATE TABLE my_sale (number INTEGER PRIMARY KEY)")
ask(file, "tillsync_start", json.dumps({"debounce_ms": 20, "every_ms": 100, "patience_ms": 100}))

heard, is_over = {}, threading.Event()
listener = threading.Thread(target=listen, args=(heard, is_over))
listener.start()
edits, until = 0, time.monotonic() + float(seconds)
while time.monotonic() < until:
    edit(file, edits)
    edits += 1
    if edits % 100 == 0:
        file.close()
        file = connect()

receipt_until = time.monotonic() + 30
while call(file, "status")["pending_fields"] and time.monotonic() < receipt_until:
    time.sleep(0.05)
is_over.set()
listener.join()

file.execute("BEGIN IMMEDIATE")
try:
    call(file, "sync")
    refused = None
except Refused as error:
    refused = error.args[0]
file.execute("COMMIT")

stopped = ask(file, "tillsync_stop", 5000)
call(file, "sync")
ask(file, "tillsync_close")
(whole,) = next(iter(file.execute("PRAGMA integrity_check")))
(version,) = next(iter(file.execute("SELECT sqlite_version()")))
file.close()
print(json.dumps({
    "edits": edits, "whole": whole, "sqlite": version, "heard": heard, "refused_in_transaction": refused,
    "came_to_its_end": stopped["came_to_its_end"],
}))
