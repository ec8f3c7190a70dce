"""Reads for the view of the fleet: by many keys at once, never one query a row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Connection, select

from patchtide.adapters.storage import rows, ticket
from patchtide.adapters.storage.catalog_tables import catalog_leaf
from patchtide.adapters.storage.reading import CLIENTS
from patchtide.adapters.storage.tables import (
    audit,
    client,
    client_event,
    client_inventory,
    client_presence,
    client_state,
    inventory_blob,
)
from patchtide.domain.errors import CursorLost
from patchtide.server.ports.audit import AuditEntry
from patchtide.server.ports.catalog import StoredLeaf
from patchtide.server.ports.clients import Client
from patchtide.server.ports.fleet import Heard, ReportedEvents, ToldList
from patchtide.server.ports.following import Cursor
from patchtide.server.ports.reports import HeldInventory, StateRow

T = TypeVar("T")
PART = 500
"""Both databases bound how many values a statement may have."""


def clients_of(connection: Connection, uuids: Sequence[bytes]) -> Sequence[Client]:
    found = (CLIENTS.where(client.c.uuid.in_(part)) for part in _parts(uuids))
    return [rows.client_of(row) for part in found for row in connection.execute(part)]


def clients_in_build(connection: Connection) -> Mapping[bytes, int]:
    found = select(client.c.uuid, client.c.build_until).where(client.c.build_until > 0)
    return {row.uuid: row.build_until for row in connection.execute(found)}


def clients_numbered(connection: Connection, numbers: Sequence[int]) -> Sequence[Client]:
    found = (CLIENTS.where(client.c.number.in_(part)) for part in _parts(numbers))
    return [rows.client_of(row) for part in found for row in connection.execute(part)]


def states_of(connection: Connection, clients: Sequence[int]) -> Sequence[StateRow]:
    column = client_state.c
    found = (
        select(client_state).where(column.client.in_(part), column.counter > 0)
        for part in _parts(clients)
    )
    return [rows.state_of(row) for part in found for row in connection.execute(part)]


def heard(connection: Connection, clients: Sequence[int]) -> Mapping[int, Heard]:
    columns = client_presence.c
    found = (select(client_presence).where(columns.client.in_(part)) for part in _parts(clients))
    return {
        row.client: Heard(at=row.seen_at, health=row.health, policy_at=row.policy_at)
        for part in found
        for row in connection.execute(part)
    }


def heard_after(connection: Connection, since: float) -> Mapping[int, Heard]:
    columns = client_presence.c
    found = select(columns.client, columns.seen_at, columns.health).where(columns.seen_at > since)
    return {
        row.client: Heard(at=row.seen_at, health=row.health) for row in connection.execute(found)
    }


def leaves_of(connection: Connection, update: UUID) -> Sequence[StoredLeaf]:
    found = select(catalog_leaf).where(catalog_leaf.c.update_id == update.bytes)
    return [rows.leaf_of(row) for row in connection.execute(found)]


def leaves_numbered(
    connection: Connection, shard: str, numbers: Sequence[int]
) -> Sequence[StoredLeaf]:
    columns = catalog_leaf.c
    found = (
        select(catalog_leaf).where(columns.shard == shard, columns.number.in_(part))
        for part in _parts(numbers)
    )
    return [rows.leaf_of(row) for part in found for row in connection.execute(part)]


def inventory_of(connection: Connection, client_number: int) -> Sequence[HeldInventory]:
    found = select(client_inventory).where(client_inventory.c.client == client_number)
    return [rows.held_inventory_of(row) for row in connection.execute(found)]


def inventories(connection: Connection, clients: Sequence[int], kind: str) -> Mapping[int, bytes]:
    columns = client_inventory.c
    found = (
        select(columns.client, inventory_blob.c.body)
        .join(inventory_blob, inventory_blob.c.digest == columns.digest)
        .where(columns.client.in_(part), columns.kind == kind)
        for part in _parts(clients)
    )
    return {client: body for part in found for client, body in connection.execute(part)}


def inventory_holders(
    connection: Connection, kind: str, *, after: int, limit: int
) -> Sequence[tuple[int, bytes]]:
    columns = client_inventory.c
    found = (
        select(columns.client, columns.digest)
        .where(columns.client > after, columns.kind == kind)
        .order_by(columns.client)
        .limit(limit)
    )
    return [(client, digest) for client, digest in connection.execute(found)]


def inventories_after(connection: Connection, cursor: Cursor) -> tuple[Cursor, Sequence[ToldList]]:
    """Return whose lists are others since.

    Raises:
        CursorLost: the cursor is of another epoch, or of a time that was taken back.
    """
    now = ticket.position(connection)
    if cursor.epoch != now.epoch or cursor.n > now.n:
        raise CursorLost
    columns = client_inventory.c
    found = select(columns.client, columns.kind, columns.digest).where(columns.change > cursor.n)
    return now, [ToldList(*row) for row in connection.execute(found)]


def inventory_bodies(connection: Connection, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
    columns = inventory_blob.c
    found = (
        select(columns.digest, columns.body).where(columns.digest.in_(part))
        for part in _parts(digests)
    )
    return {row.digest: row.body for part in found for row in connection.execute(part)}


def recent_events(
    connection: Connection, client_number: int, *, limit: int
) -> Sequence[ReportedEvents]:
    columns = client_event.c
    found = (
        select(columns.counter, columns.at, columns.events)
        .where(columns.client == client_number)
        .order_by(columns.counter.desc())
        .limit(limit)
    )
    return [
        ReportedEvents(counter=row.counter, at=rows.instant(row.at), events=row.events)
        for row in connection.execute(found)
    ]


def audit_of(
    connection: Connection, subject: str, *, limit: int, operations: Collection[str] = ()
) -> Sequence[AuditEntry]:
    found = (
        select(audit)
        .where(audit.c.subject == subject)
        .order_by(audit.c.sequence.desc())
        .limit(limit)
    )
    if operations:
        found = found.where(audit.c.operation.in_(operations))
    return [rows.audit_entry_of(row) for row in connection.execute(found)]


def newest_audit(connection: Connection, *, limit: int) -> Sequence[AuditEntry]:
    found = select(audit).order_by(audit.c.sequence.desc()).limit(limit)
    return [rows.audit_entry_of(row) for row in connection.execute(found)]


def _parts(values: Sequence[T]) -> Iterator[list[T]]:
    for start in range(0, len(values), PART):
        yield list(values[start : start + PART])
