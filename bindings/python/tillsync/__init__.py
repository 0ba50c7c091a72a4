"""Tills that sync customers with a BigCommerce store, offline first.

A :class:`Till` edits through Python's own ``sqlite3``, in the app's own transactions, and has a process of its own bring
the edits to the store: one SQLite in each process. What stands here is all that there is to know; the tables of the file
are described by ``docs/sql.md`` of the repository.
"""

from .errors import Forked, Locked, NotSynced, Refused, TillError
from .records import (
    Customer,
    Event,
    Fate,
    Found,
    JournalRow,
    Receipt,
    Seen,
    Status,
    SyncState,
    ToDecide,
)
from .till import Events, Policy, Till, Transaction, WorkerOptions

__all__ = [
    "Customer",
    "Event",
    "Events",
    "Fate",
    "Forked",
    "Found",
    "JournalRow",
    "Locked",
    "NotSynced",
    "Policy",
    "Receipt",
    "Refused",
    "Seen",
    "Status",
    "SyncState",
    "Till",
    "TillError",
    "ToDecide",
    "Transaction",
    "WorkerOptions",
]
