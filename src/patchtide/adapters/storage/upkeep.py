"""What is trimmed, in slices that let reports pass: deltas after a day, decisions after a month
past every follower, all but a client's newest events, inventory nobody has, a month after
their end the tokens that nobody enrols with any more, the inputs of proposals whose time is
over, and after 13 months synchronisations, alerts
and proposals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Table,
    delete,
    func,
    insert,
    select,
    tuple_,
    union,
    update,
)

from patchtide.adapters.storage import accounts, proposals, ticket
from patchtide.adapters.storage.catalog_tables import synchronisation
from patchtide.adapters.storage.fact_tables import changed_inventory
from patchtide.adapters.storage.tables import (
    alert,
    client_event,
    client_inventory,
    decision_log,
    enrolment_token,
    inventory_blob,
    log_cursor,
    outbox,
    setting,
    state_delta,
)

SLICE = 200
DELTAS_S = 86_400.0
DECISIONS_S = 30 * 86_400.0
BLOBS_S = 3600.0
SESSIONS_S = 86_400.0
TOKENS_S = 30 * 86_400.0
SYNCHRONISATIONS_S = 396 * 86_400.0
"""Thirteen months, whichever they are."""
ALERTS_S = PROPOSALS_S = SYNCHRONISATIONS_S
OUTBOX_S = 30 * 86_400.0
"""What nobody tries to tell any more; long before that nobody does."""
EVENTS_KEPT = 200
TRIMMED = {"state_delta": "deltas.trimmed", "decision_log": "decisions.trimmed"}
ARCHIVED = "audit.archived"
Slice = Callable[[Connection], bool]
"""Does one slice of the work; True when there is more."""


def slices(now: float) -> tuple[Slice, ...]:
    return (
        lambda c: _trim_log(c, state_delta, before=now - DELTAS_S, up_to=None),
        lambda c: _trim_log(c, decision_log, before=now - DECISIONS_S, up_to=_all_read(c)),
        _EventWalk().step,
        _BlobWalk(before=now - BLOBS_S).step,
        lambda c: accounts.trim(c, sessions_before=now - SESSIONS_S, links_before=now),
        lambda c: _trim_tokens(c, before=now - TOKENS_S),
        lambda c: _trim_synchronisations(c, before=now - SYNCHRONISATIONS_S),
        lambda c: _trim_alerts(c, before=now - ALERTS_S),
        lambda c: _trim_outbox(c, before=now - OUTBOX_S),
        lambda c: proposals.empty(c, now=now, slice_=SLICE),
        lambda c: proposals.trim(c, before=now - PROPOSALS_S, slice_=SLICE),
    )


def _trim_tokens(connection: Connection, *, before: float) -> bool:
    connection.execute(delete(enrolment_token).where(enrolment_token.c.expires_at < before))
    return False


def _trim_synchronisations(connection: Connection, *, before: float) -> bool:
    old = select(synchronisation.c.number).where(synchronisation.c.at < before).limit(SLICE)
    numbers = list(connection.execute(old).scalars())
    if numbers:
        connection.execute(delete(synchronisation).where(synchronisation.c.number.in_(numbers)))
    return len(numbers) == SLICE


def _trim_alerts(connection: Connection, *, before: float) -> bool:
    old = select(alert.c.id).where(alert.c.ended_at > 0, alert.c.ended_at < before).limit(SLICE)
    ids = list(connection.execute(old).scalars())
    if ids:
        connection.execute(delete(alert).where(alert.c.id.in_(ids)))
    return len(ids) == SLICE


def _trim_outbox(connection: Connection, *, before: float) -> bool:
    connection.execute(delete(outbox).where(outbox.c.at < before))
    return False


def _trim_log(connection: Connection, log: Table, *, before: float, up_to: int | None) -> bool:
    """Remove the oldest entries; change numbers and times rise together."""
    oldest = select(log.c.change, log.c.at).order_by(log.c.change).limit(SLICE)
    if up_to is not None:
        oldest = oldest.where(log.c.change <= up_to)
    found = connection.execute(oldest).all()
    old = [row.change for row in found if row.at < before]
    if not old:
        return False
    connection.execute(delete(log).where(log.c.change <= old[-1]))
    # In the same transaction, so that no follower reads on over the gap unawares.
    remember(connection, TRIMMED[log.name], old[-1])
    return len(old) == SLICE


def _all_read(connection: Connection) -> int:
    """Return up to where every follower of this epoch has read; the newest entry always stays."""
    epoch = ticket.position(connection).epoch
    slowest = select(func.min(log_cursor.c.n)).where(log_cursor.c.epoch == epoch)
    # By the newest entry a cut end of the audit is found out (`audit_chain.verify`).
    newest = select(func.max(decision_log.c.change))
    last = (connection.execute(newest).scalar() or 0) - 1
    behind = connection.execute(slowest).scalar()
    return last if behind is None else min(last, behind)


def remember(connection: Connection, name: str, change: int) -> None:
    value = str(change).encode()
    named = setting.c.name == name
    if connection.execute(update(setting).where(named).values(value=value)).rowcount == 0:
        connection.execute(insert(setting).values(name=name, value=value))


class _EventWalk:
    """Walks over the clients and leaves each its newest events."""

    def __init__(self) -> None:
        self._after = 0

    def step(self, connection: Connection) -> bool:
        some = (
            select(client_event.c.client)
            .where(client_event.c.client > self._after)
            .distinct()
            .order_by(client_event.c.client)
            .limit(SLICE)
        )
        clients = list(connection.execute(some).scalars())
        if not clients:
            return False
        rows = list(connection.execute(_beyond(self._after, clients[-1])))
        keys = tuple_(client_event.c.client, client_event.c.counter)
        if rows:
            connection.execute(delete(client_event).where(keys.in_([tuple(r) for r in rows])))
        if len(rows) < SLICE:
            self._after = clients[-1]
        return len(rows) == SLICE or len(clients) == SLICE


def _beyond(after: int, last: int) -> Select[Any]:
    place = (
        func.row_number()
        .over(partition_by=client_event.c.client, order_by=client_event.c.counter.desc())
        .label("place")
    )
    ranked = (
        select(client_event.c.client, client_event.c.counter, place)
        .where(client_event.c.client > after, client_event.c.client <= last)
        .subquery()
    )
    return (
        select(ranked.c.client, ranked.c.counter).where(ranked.c.place > EVENTS_KEPT).limit(SLICE)
    )


class _BlobWalk:
    """Walks over the inventory's bodies and removes those that nobody has any more."""

    def __init__(self, *, before: float) -> None:
        self._before = before
        self._after = b""

    def step(self, connection: Connection) -> bool:
        some = (
            select(inventory_blob.c.digest, inventory_blob.c.at)
            .where(inventory_blob.c.digest > self._after)
            .order_by(inventory_blob.c.digest)
            .limit(SLICE)
        )
        page = connection.execute(some).all()
        # How a list became another one is worked out from the bodies of both.
        held = union(select(client_inventory.c.digest), select(changed_inventory.c.was))
        old = [row.digest for row in page if row.at < self._before]
        if old:
            connection.execute(
                delete(inventory_blob).where(
                    inventory_blob.c.digest.in_(old), inventory_blob.c.digest.not_in(held)
                )
            )
        if page:
            self._after = page[-1].digest
        return len(page) == SLICE
