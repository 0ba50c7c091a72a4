"""A till: edits by SQL or by methods, in the app's own transactions; a process of its own syncs."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypedDict, get_args, get_type_hints

from . import records
from .connection import Connection, connect, rows, told
from .errors import Forked, NotSynced, Refused, TillError, of_document, unknown_customer
from .program import Program
from .records import Customer, Event, Fate, Found, JournalRow, Receipt, Seen, Status, ToDecide
from .worker import Worker

Policy = Literal["hold", "local", "remote", "latest"]
#: Events that are kept for a late reader; of more, the oldest are dropped and counted.
_EVENTS = 1024
#: How often a file is looked at for what a worker writes.
_LOOK = 0.05
#: How long the worker is asked to wait at a time: a new one is asked again.
_ASK = 20.0
#: How long the first pull may fail before that is told.
_PATIENCE = 10.0
#: Pages of the log: a worker keeps it short; without one, SQLite does.
_CHECKPOINT_PAGES = {True: 20_000, False: 1_000}


class WorkerOptions(TypedDict, total=False):
    """When it syncs: the flags of ``tillsync worker``, which tells what they mean (``tillsync help worker``)."""

    every_ms: int
    latest_ms: int
    full_every_ms: int
    debounce_ms: int
    patience_ms: int
    retry_base_ms: int
    retry_cap_ms: int
    look_ms: int
    waiting_long_ms: int
    retention: int
    timeout: int
    log_file: str
    log_level: Literal["error", "warn", "info", "debug", "trace"]


class Events:
    """What happened, in order: one stream, of which each event goes to one reader. It ends with its till."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._missed = 0
        self._news = threading.Condition()
        self._is_over = False

    def next(self, timeout: float | None = None) -> Event | None:
        """The next one; none when none came in so many seconds, or the till was closed."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._missed or self._is_over, timeout)
            if self._missed:
                count, self._missed = self._missed, 0
                return records.event({"event": "missed", "count": count})
            return self._waiting.popleft() if self._waiting else None

    def __iter__(self) -> Iterator[Event]:
        while (event := self.next()) is not None:
            yield event

    def _put(self, said: Mapping[str, Any]) -> None:
        with self._news:
            self._waiting.append(records.event(said))
            if len(self._waiting) > _EVENTS:
                self._waiting.popleft()
                self._missed += 1
            self._news.notify()

    def _end(self) -> None:
        with self._news:
            self._is_over = True
            self._news.notify_all()


class Transaction:
    """The app's own rows and the edits, together or not at all. Made by :meth:`Till.transaction`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._after = self._newest_edit()
        self._receipt: Receipt | None = None

    def set(self, customer_id: int, /, **attributes: object) -> None:
        """Sets attributes, by the API's names: text, numbers, booleans, and what is JSON as lists and dictionaries."""
        if not attributes:
            return
        records.refuse_unknown(customer_id, attributes)
        columns = ", ".join(f"{_quoted(name)} = ?" for name in attributes)
        values = [_column(value) for value in attributes.values()]
        changed = self.execute(f"UPDATE customer SET {columns} WHERE id = ?", [*values, customer_id])
        if changed.rowcount == 0:
            raise unknown_customer(customer_id)

    def credit(self, customer_id: int, amount: Decimal | int | str, *, allowed_by: str | None = None) -> None:
        """Adjusts the store credit by a signed amount, exactly. ``allowed_by`` lets it go below the file's floor."""
        digits = _amount(amount)
        if allowed_by is None:
            sql, values = "INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (?, ?)", [customer_id, digits]
        else:
            sql = "INSERT INTO store_credit_override (customer_id, amount, allowed_by) VALUES (?, ?, ?)"
            values = [customer_id, digits, allowed_by]
        self.execute(sql, values)

    def new_password(self, customer_id: int, password: str) -> None:
        """Sets a customer's password: kept until it is uploaded, shown nowhere."""
        self.execute("INSERT INTO password_change (customer_id, new_password) VALUES (?, ?)", [customer_id, password])

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Plain SQL, of the app's own tables too."""
        return self._connection.execute(sql, parameters)

    @property
    def receipt(self) -> Receipt:
        """Names the edits that were made, once the transaction is on the disk."""
        if self._receipt is None:
            raise TillError("the transaction has not ended well", "no_receipt", "ask for the receipt behind its with")
        return self._receipt

    def _newest_edit(self) -> int:
        newest: int = rows(self._connection, "SELECT coalesce(max(seq), 0) FROM journal", [])[0][0]
        return newest

    def _sign(self, author: str | None, label: str | None) -> None:
        self.execute("UPDATE edit_context SET author = ?, label = ?", [author, label])

    def _commit(self) -> None:
        receipt = Receipt(self._after, self._newest_edit())
        self._sign(None, None)
        self.execute("COMMIT")
        self._receipt = receipt


class _Own:
    """A thread's connection: closed when the thread ends, but never in a process that was forked."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self._process = connection, os.getpid()

    def __del__(self) -> None:
        if os.getpid() == self._process:
            self.connection.close()


class Till:
    """A till's file, and the worker that keeps it in step with the store.

    ``token``: of the API account; without it, and without ``token_file``, the environment's ``BIGCOMMERCE_ACCESS_TOKEN``. It
    stands in no argument and no log. ``sync=False``: no worker, for a second program on a file, or a report. ``create``: the
    file may be new; see :meth:`wait_for_customers`. ``wait``: seconds until another worker of the file must have ended.
    ``timeout``: seconds that an edit waits for other programs' transactions.

    Any thread may use it: each has a connection of its own.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        store_hash: str | None = None,
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        api_url: str | None = None,
        author: str | None = None,
        sync: bool = True,
        create: bool = False,
        wait: float = 0,
        policies: Mapping[str, Policy] | None = None,
        options: WorkerOptions | None = None,
        timeout: float = 10,
        program: str | os.PathLike[str] | None = None,
    ) -> None:
        self.path = Path(path).absolute()
        _refuse_inherited(self.path)
        self._author, self._timeout, self._process = author, timeout, os.getpid()
        self._mine = threading.local()
        self._connections: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._is_closed = False
        self.events = Events()
        flags = _flags(store_hash=store_hash, token_file=token_file, api_url=api_url, author=author)
        self._program = Program(self.path, flags, token, Path(program) if program else None)
        self._worker: Worker | None = None
        _refuse_unknown(options or {}, policies or {})
        if sync:
            own = [*(["--create"] if create else []), *_policies(policies or {}), *_flags(**(options or {}))]
            # `--wait` counts whole seconds.
            self._worker = Worker(self._program, [*own, "--wait", str(int(-(-wait // 1)))], self.events._put)
        _tills.add(self)
        try:
            self._refuse_what_is_no_till()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"Till({os.fspath(self.path)!r})"

    def __enter__(self) -> Till:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self, within: float = 2) -> None:
        """Ends the worker, whose sync may go on for so many seconds, and every connection. What is unsent stays in the file."""
        self._here()
        if self._is_closed:
            return
        self._is_closed = True
        _tills.discard(self)
        if self._worker:
            self._worker.close(within)
        with self._lock:
            for connection in list(self._connections):
                connection.close()
        self.events._end()

    # ---- edits -----------------------------------------------------------------------------------------------------

    @property
    def connection(self) -> Connection:
        """This thread's connection, for plain SQL: each statement by itself, or between ``BEGIN IMMEDIATE`` and ``COMMIT``."""
        self._open()
        own: _Own | None = getattr(self._mine, "own", None)
        if own is None:
            with told():
                own = _Own(connect(self.path, self._timeout, _CHECKPOINT_PAGES[self._worker is not None]))
            self._mine.own = own
            with self._lock:
                self._connections.add(own.connection)
        return own.connection

    @contextmanager
    def transaction(self, *, author: str | None = None, label: str | None = None) -> Iterator[Transaction]:
        """On the disk when its ``with`` ends; undone when that is left by an exception. It never waits for the network."""
        connection = self.connection
        if connection.in_transaction:
            raise TillError("this thread has a transaction open", "in_transaction", "end it first, or edit in it")
        connection.execute("BEGIN IMMEDIATE")
        try:
            transaction = Transaction(connection)
            transaction._sign(author or self._author, label)
            yield transaction
            transaction._commit()
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def edit(
        self, customer_id: int, /, *, author: str | None = None, label: str | None = None, **attributes: object
    ) -> Receipt:
        """Sets attributes of one customer."""
        with self.transaction(author=author, label=label) as transaction:
            transaction.set(customer_id, **attributes)
        return transaction.receipt

    def credit(
        self,
        customer_id: int,
        amount: Decimal | int | str,
        *,
        allowed_by: str | None = None,
        author: str | None = None,
        label: str | None = None,
    ) -> Receipt:
        """Adjusts the store credit of one customer: a payment that reaches the store exactly once, or waits for a person."""
        with self.transaction(author=author, label=label) as transaction:
            transaction.credit(customer_id, amount, allowed_by=allowed_by)
        return transaction.receipt

    # ---- what is in the file ---------------------------------------------------------------------------------------

    def customer(self, customer_id: int) -> Customer | None:
        """A customer; none: not in this file."""
        row = self._rows(f"{records.CUSTOMER} WHERE c.id = ?", [customer_id])
        return records.customer(row[0]) if row else None

    def find(self, text: str, limit: int = 100) -> Found:
        """Whom somebody means by what they typed: beginnings of words, in any order; phones by their digits."""
        found, more = self._find(text, limit)
        each = (self.customer(one["id"]) for one in found)
        return Found([customer for customer in each if customer], more)

    def log(self, customer_id: int | None = None, *, limit: int = 1000, before: int | None = None) -> list[JournalRow]:
        """The newest edits, the newest first: of one customer, or of all; before one of them, or at all."""
        where, values = ["seq < ?"], [before if before is not None else 2**63 - 1]
        if customer_id is not None:
            where, values = [*where, "customer_id = ?"], [*values, customer_id]
        sql = f"{records.JOURNAL} WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"
        return [records.journal_row(row) for row in self._rows(sql, [*values, limit])]

    def to_decide(self, customer_id: int | None = None) -> list[ToDecide]:
        """What waits for a person: of one customer, or of all."""
        where, values = ("", []) if customer_id is None else ("WHERE customer_id = ?", [customer_id])
        return [records.to_decide(row) for row in self._rows(f"{records.TO_DECIDE} {where} ORDER BY since, id", values)]

    def status(self) -> Status:
        """What waits, and how the sync stands."""
        if self._worker:
            try:
                return records.status(self._worker.call("status"))
            except NotSynced:
                pass  # the command knows it too
        return records.status(self.command("status"))

    # ---- what a person decides -------------------------------------------------------------------------------------

    def resolve(
        self,
        shown: ToDecide | Seen,
        keep: Literal["local", "remote"] | None = None,
        *,
        value: object = None,
        author: str | None = None,
        timeout: float = 10,
    ) -> None:
        """Decides a conflict: one of the sides, or another value. It covers what was shown: what has moved on since is refused."""
        if (keep is None) == (value is None):
            raise TillError("a conflict is decided by keep, or by value", "usage", 'resolve(shown, "local")')
        words = None if value is None else _as_on_the_command_line(value)
        self._decide(shown, keep or "value", words, author, timeout)

    def retry(self, shown: ToDecide | Seen, *, author: str | None = None, timeout: float = 10) -> None:
        """Sends a refused edit once more."""
        self._decide(shown, "retry", None, author, timeout)

    def discard(self, shown: ToDecide | Seen, *, author: str | None = None, timeout: float = 10) -> None:
        """Gives up an edit that was refused, held, or is in conflict."""
        self._decide(shown, "discard", None, author, timeout)

    def _decide(self, shown: ToDecide | Seen, keep: str, value: str | None, author: str | None, timeout: float) -> None:
        seen = shown.seen if isinstance(shown, ToDecide) else shown
        sql = "INSERT INTO decision (seen, keep, value, author) VALUES (?, ?, ?, ?)"
        decision = self.connection.execute(sql, [seen, keep, value, author or self._author]).lastrowid
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            outcome, reason = self._rows("SELECT outcome, reason FROM decision WHERE id = ?", [decision])[0]
            if outcome == "done":
                return
            if outcome == "refused":
                raise Refused(reason or "it was refused", "refused", "look at it again: to_decide")
            time.sleep(_LOOK)
        words = "the decision waits in the file: no worker has carried it out yet"
        raise NotSynced(words, "undecided", "the next sync carries it out; see the table decision")

    # ---- the sync --------------------------------------------------------------------------------------------------

    def wait(self, receipt: Receipt, timeout: float | None = None) -> Fate:
        """What became of edits; ``pending`` when the time is over. No edit needs it: they go up by themselves."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _ASK if until is None else max(0.0, min(_ASK, until - time.monotonic()))
            fate = self._fate(receipt, left)
            is_over = until is not None and time.monotonic() >= until
            if fate.kind != "pending" or is_over:
                return fate

    def wait_for_customers(self, timeout: float | None = None) -> bool:
        """Until the first pull of a new file is whole; it goes on by itself in any case. False when the time is over before
        that. Why it fails is raised: that the store refuses at once, all else, such as that there is no network, when the time
        is over; without one, when nothing else has come for ten seconds."""
        begun = well = time.monotonic()
        while True:
            state, last_error, pulled = self._rows("SELECT state, last_error, last_pull_at FROM sync_state")[0]
            if pulled is not None:
                return True
            now = time.monotonic()
            well = well if last_error else now
            is_over = now - begun >= timeout if timeout is not None else now - well >= _PATIENCE
            if last_error and (is_over or state == "refused"):
                raise of_document(records.from_json(last_error))
            if is_over:
                return False
            time.sleep(_LOOK)

    def sync_now(self) -> None:
        """Syncs at once; events tell how it went."""
        self._working().call("sync_now")

    def pause(self) -> None:
        """No sync by itself until :meth:`resume`."""
        self._working().call("pause")

    def resume(self) -> None:
        """The worker goes on, with what came due meanwhile at once."""
        self._working().call("resume")

    def command(self, command: str, *words: str) -> Any:
        """Runs ``tillsync COMMAND`` on this file, and returns its JSON: ``till.command("backup", "monday.db")``. Nothing
        secret belongs into its words: every user of the machine may read them."""
        self._open()
        return self._program.answer(command, *words)

    @property
    def worker_pid(self) -> int | None:
        """The process that syncs; none without one."""
        return self._worker.pid if self._worker else None

    # ---- inside ----------------------------------------------------------------------------------------------------

    def _find(self, text: str, limit: int) -> tuple[list[Any], bool]:
        if self._worker:
            try:
                said = self._worker.call("find", text=text, limit=limit)
                return said["customers"], said["more"]
            except NotSynced:
                pass  # the command finds them too, and one more says that there are more
        self._open()
        found = self._program.answer("find", f"--limit={limit + 1}", "-", typed=text)
        return found[:limit], len(found) > limit

    def _fate(self, receipt: Receipt, within: float) -> Fate:
        worker = self._working()
        places = {"after": receipt.after, "up_to": receipt.up_to}
        try:
            return records.fate(worker.call("wait", receipt=places, timeout_ms=int(within * 1000)))
        except NotSynced:
            if self._is_closed:
                raise
            worker.is_ready(within)
            return Fate("pending")

    def _working(self) -> Worker:
        self._open()
        if self._worker is None:
            raise NotSynced("this till has no worker", "no_worker", "open it with sync=True, in one program")
        return self._worker

    def _rows(self, sql: str, values: list[Any] | None = None) -> list[Any]:
        return rows(self.connection, sql, values or [])

    def _refuse_what_is_no_till(self) -> None:
        try:
            self.connection.execute("SELECT 1 FROM sync_state")
        except sqlite3.Error as error:
            if isinstance(error, TillError):
                raise
            code = "not_there" if not self.path.exists() else "not_a_till"
            raise TillError(f"{self.path}: {error}", code, "`tillsync pull` makes a till, and so does create=True") from error

    def _open(self) -> None:
        self._here()
        if self._is_closed:
            raise TillError("the till was closed", "closed", "open it anew")

    def _here(self) -> None:
        if os.getpid() != self._process:
            raise _forked()


# ---- forks ---------------------------------------------------------------------------------------------------------

_tills: weakref.WeakSet[Till] = weakref.WeakSet()
#: Files that were open when this process was forked, by device and inode. SQLite believes that it has their locks here.
_inherited: set[tuple[int, int]] = set()


def _after_fork() -> None:
    for till in list(_tills):
        try:
            status = till.path.stat()
            _inherited.add((status.st_dev, status.st_ino))
        except OSError:
            pass
        for connection in list(till._connections):
            # Never closed here: that would be a stranger's hand on the parent's log.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        if till._worker:
            till._worker.leave()
    _tills.clear()


def _refuse_inherited(path: Path) -> None:
    try:
        status = path.stat()
    except OSError:
        return
    if (status.st_dev, status.st_ino) in _inherited:
        raise _forked()


def _forked() -> TillError:
    words = "the till was open when this process was forked, and SQLite's locks are the parent's"
    return Forked(words, "forked", "start processes by spawn, or fork before the till is opened")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# ---- words ---------------------------------------------------------------------------------------------------------


def _flags(**given: object) -> list[str]:
    """``every_ms=5`` as ``--every-ms 5``."""
    named = ((f"--{name.replace('_', '-')}", value) for name, value in given.items() if value is not None)
    return [word for flag, value in named for word in (flag, os.fspath(value) if isinstance(value, os.PathLike) else str(value))]


def _refuse_unknown(options: Mapping[str, object], policies: Mapping[str, object]) -> None:
    """What a till is opened with is refused by the name that it was given, not by that of a flag."""
    kinds, ways = get_type_hints(WorkerOptions), get_args(Policy)
    for name, value in options.items():
        if name not in kinds:
            raise TillError(f"options: there is no {name}", "usage", f"there are {', '.join(kinds)}", field=name)
        is_whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if kinds[name] is int and not is_whole:
            raise TillError(f"options: {name} is {value!r}", "usage", "it is a whole number", field=name)
    for field, policy in policies.items():
        if field not in ("*", *records.EDITABLE):
            words = f"policies: {field} is no attribute that an edit may set"
            raise TillError(words, "usage", f"there are {', '.join(records.EDITABLE)}, and * for all others", field=field)
        if policy not in ways:
            raise TillError(f"policies: {field} is {policy!r}", "usage", f"it is one of {', '.join(ways)}", field=field)


def _policies(policies: Mapping[str, Policy]) -> list[str]:
    """By attribute; that of all others under ``*``."""
    each = (policy if field == "*" else f"{field}={policy}" for field, policy in policies.items())
    return [word for policy in each for word in ("--policy", policy)]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _column(value: object) -> object:
    """A value as its column has it."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        raise TillError(f"{value!r} is a float, and no exact number", "usage", "give a Decimal, a whole number or text")
    return records.to_json(value) if isinstance(value, (list, tuple, Mapping)) else value


def _amount(amount: Decimal | int | str) -> str:
    if isinstance(amount, (float, bool)):
        raise TillError(f"{amount!r} is no exact amount", "usage", 'give a Decimal, or text such as "-12.50"')
    return records.plain(amount) if isinstance(amount, Decimal) else str(amount)


def _as_on_the_command_line(value: object) -> str:
    return value if isinstance(value, str) else records.to_json(value)
