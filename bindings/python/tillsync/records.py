"""What a till reads: customers, edits, what waits for a person. Money is ``Decimal``, a time is aware of its zone, JSON is read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NewType

from .errors import Refused, TillError, of_document

Outcome = Literal["in_flight", "uploaded", "unchanged", "superseded", "rejected", "held", "discarded", "remote", "merged"]
FateKind = Literal[
    "pending", "rejected", "in_conflict", "uploaded", "created", "deleted", "superseded", "unchanged", "given_up"
]
#: The name of something to decide, as it was shown: when a side moves on, so does the name.
Seen = NewType("Seen", str)


@dataclass(frozen=True)
class Customer:
    """A customer as the till has them: the store's values, and the edits on top. Attributes bear the API's names."""

    id: int
    email: str | None
    first_name: str | None
    last_name: str | None
    company: str | None
    phone: str | None
    notes: str | None
    tax_exempt_category: str | None
    customer_group_id: int | None
    accepts_product_review_abandoned_cart_emails: bool | None
    force_password_reset: bool | None
    #: The store credit, exact; none: the store does not tell.
    balance: Decimal | None
    #: None: every channel.
    channel_ids: Sequence[int] | None
    form_fields: Sequence[Mapping[str, Any]] | None
    registration_ip_address: str | None
    origin_channel_id: int | None
    #: None also where what the store says is no time.
    date_created: datetime | None
    date_modified: datetime | None


@dataclass(frozen=True)
class Found:
    """Whom a search found, the best first, and whether there are more."""

    customers: Sequence[Customer]
    more: bool


@dataclass(frozen=True)
class Receipt:
    """Edits, by their places in the journal: those after ``after``, to ``up_to``. May be kept, and asked for later."""

    after: int
    up_to: int


@dataclass(frozen=True)
class Fate:
    """What became of the edits of a receipt."""

    kind: FateKind
    #: When the store last changed the customer, by its own clock.
    date_modified: datetime | None = None
    #: Of what was rejected or is in conflict; of one who was made, the store's id.
    customer_id: int | None = None
    field: str | None = None
    #: The store's words.
    reason: str | None = None


@dataclass(frozen=True)
class JournalRow:
    """An edit, and what became of it. ``value`` of an adjustment is its signed amount."""

    seq: int
    customer_id: int
    field: str
    op: Literal["set", "adjust"]
    value: Any
    was: Any
    at: datetime | None
    author: str | None
    label: str | None
    #: Who allowed a payment to take the balance below the floor; none: nobody had to.
    allowed_by: str | None
    #: None: it is pending.
    outcome: Outcome | None
    reason: str | None
    settled_at: datetime | None


@dataclass(frozen=True)
class ToDecide:
    """Something that waits for a person: a conflict, a refused edit, or one that is held."""

    kind: Literal["conflict", "rejected", "held"]
    id: int
    customer_id: int
    field: str
    base: Any
    local: Any
    remote: Any
    reason: str | None
    since: datetime | None
    author: str | None
    #: What a decision is given, so that it covers what was shown and nothing newer.
    seen: Seen


@dataclass(frozen=True)
class SyncState:
    """What the last sync came to."""

    state: Literal["idle", "syncing", "offline", "refused", "failed"]
    since: datetime | None
    last_error: TillError | None
    last_success_at: datetime | None
    next_try_at: datetime | None
    worker_alive: bool
    worker_paused: bool


@dataclass(frozen=True)
class Status:
    """What waits, and how the sync stands."""

    pending_fields: int
    pending_customers: int
    rejected: int
    conflicts: int
    #: Edits that are in this file alone: while there are any it must not be thrown away.
    unsent: int
    snapshot_customers: int
    store_hash: str | None
    last_pull_at: datetime | None
    last_push_at: datetime | None
    sync: SyncState
    #: All that was said, as the command's ``status --json`` has it.
    document: Mapping[str, Any]


@dataclass(frozen=True)
class Event:
    """Something happened. It holds no value of a customer: that is read from the file.

    ``name`` is one of those in ``docs/embedding.md`` (``edit_uploaded``, ``sync_finished``, …), or of this package:
    ``worker_ended``, when the process that syncs has ended and another one is started.
    """

    name: str
    customer_id: int | None
    field: str | None
    seq: int | None
    #: All that was said.
    document: Mapping[str, Any]


# ---- from what is in the file, and what is said --------------------------------------------------------------------

_NAMES = [field.name for field in fields(Customer)]
#: What an edit may set, by the names of the columns.
EDITABLE = (
    "email",
    "first_name",
    "last_name",
    "company",
    "phone",
    "notes",
    "tax_exempt_category",
    "customer_group_id",
    "accepts_product_review_abandoned_cart_emails",
    "force_password_reset",
    "store_credit_amounts",
    "channel_ids",
    "form_fields",
)
_SHOWN_ONLY = ("registration_ip_address", "origin_channel_id", "date_created", "date_modified")
#: The columns of a customer, in the order of the names.
CUSTOMER = """
    SELECT c.id, c.email, c.first_name, c.last_name, c.company, c.phone, c.notes, c.tax_exempt_category, c.customer_group_id,
           c.accepts_product_review_abandoned_cart_emails, c.force_password_reset, credit.balance, c.channel_ids,
           c.form_fields, c.registration_ip_address, c.origin_channel_id, c.date_created, c.date_modified
    FROM customer AS c LEFT JOIN customer_credit AS credit ON credit.customer_id = c.id
"""
JOURNAL = """
    SELECT seq, customer_id, field, op, value, was, at, author, label, allowed_by, outcome, reason, settled_at
    FROM journal
"""
TO_DECIDE = """
    SELECT kind, id, customer_id, field, base, local, remote, reason, since, author, seen FROM to_decide
"""


def customer(row: Sequence[Any]) -> Customer:
    """Of the columns that ``CUSTOMER`` names."""
    values = dict(zip(_NAMES, row, strict=True))
    for name in ("accepts_product_review_abandoned_cart_emails", "force_password_reset"):
        values[name] = None if values[name] is None else bool(values[name])
    for name in ("channel_ids", "form_fields"):
        values[name] = from_json(values[name])
    for name in ("date_created", "date_modified"):
        values[name] = moment(values[name])
    values["balance"] = None if values["balance"] is None else Decimal(values["balance"])
    return Customer(**values)


def journal_row(row: Sequence[Any]) -> JournalRow:
    """Of the columns that ``JOURNAL`` names."""
    seq, customer_id, field, op, value, was, at, author, label, allowed_by, outcome, reason, settled_at = row
    said = from_json(value)
    amount = Decimal(said) if op == "adjust" else said
    times = moment(at), moment(settled_at)
    who = author, label, allowed_by
    return JournalRow(seq, customer_id, field, op, amount, from_json(was), times[0], *who, outcome, reason, times[1])


def to_decide(row: Sequence[Any]) -> ToDecide:
    """Of the columns that ``TO_DECIDE`` names."""
    kind, id, customer_id, field, base, local, remote, reason, since, author, seen = row
    base, local, remote = map(from_json, (base, local, remote))
    return ToDecide(kind, id, customer_id, field, base, local, remote, reason, moment(since), author, Seen(seen))


def refuse_unknown(customer_id: int, names: Iterable[str]) -> None:
    """What is no attribute is told with what there is; that one is read-only, the file says."""
    for name in names:
        if name not in EDITABLE and name not in _SHOWN_ONLY:
            words = f"customer {customer_id}: {name}: is no attribute of a customer"
            raise Refused(words, "refused", f"editable are {', '.join(EDITABLE)}; a password by new_password", customer_id, name)


def event(said: Mapping[str, Any]) -> Event:
    """Of a line of the worker's."""
    return Event(said["event"], said.get("customer_id"), said.get("field"), said.get("seq"), said)


def fate(said: Mapping[str, Any]) -> Fate:
    """Of the worker's answer to ``wait``."""
    return Fate(
        said["fate"], moment(said.get("date_modified")), said.get("customer_id"), said.get("field"), said.get("reason")
    )


def status(said: Mapping[str, Any]) -> Status:
    """Of the document of ``status``."""
    sync, error = said["sync"], said["sync"]["last_error"]
    state = SyncState(
        sync["state"],
        moment(sync["since"]),
        of_document(error) if error else None,
        moment(sync["last_success_at"]),
        moment(sync["next_try_at"]),
        sync["worker_alive"],
        sync["worker_paused"],
    )
    counts = ("pending_fields", "pending_customers", "rejected", "conflicts", "unsent", "snapshot_customers")
    return Status(
        **{count: said[count] for count in counts},
        store_hash=said["store_hash"],
        last_pull_at=moment(said["last_pull_at"]),
        last_push_at=moment(said["last_push_at"]),
        sync=state,
        document=said,
    )


def moment(text: str | None) -> datetime | None:
    """A time of the file; none where it is none."""
    try:
        # Python 3.10 knows no `Z`.
        return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None


def from_json(text: str | None) -> Any:
    """JSON of the file, its numbers exact."""
    return None if text is None else json.loads(text, parse_float=Decimal)


def to_json(value: Any) -> str:
    """JSON for the file, its numbers exact: Python's own writer knows no ``Decimal``."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(str(name))}:{to_json(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return "[" + ",".join(map(to_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def plain(amount: Decimal) -> str:
    """Digits without an exponent."""
    return format(amount, "f")
