"""Connections to the till's file: Python's own ``sqlite3``, set up as a till must be, whose refusals say what they are about."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from .errors import TillError, of_sqlite
from .records import plain

OLDEST = (3, 37, 2)


@contextmanager
def told() -> Iterator[None]:
    """What the till's file refuses is raised as what it is."""
    try:
        yield
    except sqlite3.Error as error:
        if isinstance(error, TillError) or (meant := of_sqlite(error)) is None:
            raise
        raise meant from error


def _bound(parameters: Any) -> Any:
    """The same, with amounts as their digits: SQLite knows no ``Decimal``."""
    if isinstance(parameters, Mapping):
        return {name: _exact(value) for name, value in parameters.items()}
    return [_exact(value) for value in parameters]


def _exact(value: Any) -> Any:
    return plain(value) if isinstance(value, Decimal) else value


class Cursor(sqlite3.Cursor):
    """A cursor that takes ``Decimal`` and tells refusals."""

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        with told():
            super().execute(sql, _bound(parameters))
        return self

    def executemany(self, sql: str, many: Iterable[Any], /) -> Cursor:
        with told():
            super().executemany(sql, map(_bound, many))
        return self

    def executescript(self, script: str, /) -> Cursor:
        with told():
            super().executescript(script)
        return self


class Connection(sqlite3.Connection):
    """A connection whose cursors are such."""

    def cursor(self, factory: Any = Cursor) -> Any:
        return super().cursor(factory)

    def _made(self) -> Cursor:
        made: Cursor = self.cursor()  # with the rows that the app has it make
        return made

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return self._made().execute(sql, parameters)

    def executemany(self, sql: str, many: Iterable[Any], /) -> sqlite3.Cursor:
        return self._made().executemany(sql, many)

    def executescript(self, script: str, /) -> sqlite3.Cursor:
        return self._made().executescript(script)


def connect(path: Path, timeout: float, checkpoint_pages: int) -> Connection:
    """Opens a file that is there."""
    if sqlite3.sqlite_version_info < OLDEST:
        raise TillError(
            f"Python's SQLite is {sqlite3.sqlite_version}", "old_sqlite", "a till needs 3.37.2: take a newer Python"
        )
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,  # closed by whoever closes the till; used by its own thread alone
        factory=Connection,
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {checkpoint_pages}")
        connection.execute("PRAGMA secure_delete = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def rows(connection: Connection, sql: str, values: Sequence[Any]) -> list[Any]:
    """The rows of a question, as tuples, whatever rows the app has the connection make."""
    cursor = Cursor(connection)
    cursor.row_factory = None
    return cursor.execute(sql, values).fetchall()
