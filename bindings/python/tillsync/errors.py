"""Why something was not done. Whatever it was: every edit that was made is kept."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping

#: What a message of the till's triggers begins with, behind whatever SQLite says before it.
MARK = "tillsync refused: "
_ABOUT = re.compile(r"customer (\d+): ([^:]+): ")
#: What the triggers say of somebody whom the file does not have.
_NOBODY = "no such customer in this file"
_LIMIT = re.compile(r"(?:characters?, at (?:most|least) |before the point and | \(no group\) to )(\d+)")


class TillError(Exception):
    """Something was not done. ``code`` is a word for programs, ``hint`` says what to do next."""

    def __init__(
        self,
        message: str,
        code: str,
        hint: str | None = None,
        customer_id: int | None = None,
        field: str | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        #: The customer, the attribute and the bound that it is about, where it is about such.
        self.customer_id = customer_id
        self.field = field
        self.limit = limit

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.code, self.hint, self.customer_id, self.field, self.limit)


class Refused(TillError, sqlite3.IntegrityError):
    """The till's file refused an edit or a decision; nothing of the statement was done, and the transaction goes on."""


class Locked(TillError, sqlite3.OperationalError):
    """Another program held the file for longer than the till waits (``timeout``)."""


class NotSynced(TillError):
    """The till has no worker, or it has ended: nothing can be asked of it."""


class Forked(TillError):
    """A till of the parent process: SQLite's locks do not go over a fork, and the file would be destroyed."""


_KINDS: dict[str, type[TillError]] = {"refused": Refused, "locked": Locked, "stopped": NotSynced}


def of_sqlite(error: sqlite3.Error) -> TillError | None:
    """What an error of SQLite means to a till; none: it is the app's own."""
    words = str(error)
    if MARK in words:
        return _refused(words.rpartition(MARK)[2].removesuffix("'"))
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == 5 or words in ("database is locked", "database table is locked"):
        return Locked(words, "locked", "another program writes; every edit is kept, try again")
    return None


def unknown_customer(customer_id: int) -> Refused:
    """Nobody is edited who is not in the file."""
    words = f"customer {customer_id} is not in this file"
    return Refused(words, "unknown_customer", "wait for the next sync, or look for the customer with find", customer_id)


def _hint(words: str) -> str:
    """What to do about a refusal."""
    if "below the floor" in words:
        return 'take less, or say who allows it: allowed_by="ana"'
    if "has moved on, or is decided" in words:
        return "look at it again: to_decide"
    if words.startswith(("customer ", "password_change", "store_credit_")):
        return "nothing was journaled: correct the value and edit again"
    return "nothing was done; docs/sql.md says what may be written, and how"


def _refused(words: str) -> Refused:
    about, limit = _ABOUT.match(words), _LIMIT.search(words)
    if about and words.endswith(_NOBODY):
        return unknown_customer(int(about[1]))
    places = 4 if "at most four decimal places" in words else None
    return Refused(
        words,
        "refused",
        _hint(words),
        int(about[1]) if about else None,
        about[2] if about else None,
        int(limit[1]) if limit else places,
    )


def of_document(error: Mapping[str, object]) -> TillError:
    """An error as the worker and the command tell it."""
    code, hint, field = (_text(error.get(key)) for key in ("code", "hint", "field"))
    customer, limit = (value if isinstance(value, int) else None for value in (error.get("customer_id"), error.get("limit")))
    return _KINDS.get(code or "", TillError)(_text(error.get("message")) or "it was not done", code or "unexpected", hint, customer, field, limit)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
