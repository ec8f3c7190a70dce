"""Reads: on read-only connections, in short transactions, by key."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from patchtide.adapters.storage import rows, ticket
from patchtide.adapters.storage.account_tables import api_token
from patchtide.adapters.storage.attribute_tables import machine_attributes
from patchtide.adapters.storage.tables import (
    audit,
    client,
    client_event,
    client_inventory,
    client_presence,
    client_state,
    enrolment_token,
    inventory_blob,
    setting,
)
from patchtide.adapters.storage.tables import ticket as ticket_table
from patchtide.server.ports.api_tokens import ApiToken
from patchtide.server.ports.audit import AuditEntry
from patchtide.server.ports.clients import Client, ClientState, EnrolmentToken, Standing
from patchtide.server.ports.reports import StateRow

EPOCH = select(ticket_table.c.epoch).where(ticket_table.c.id == ticket.CHANGES).scalar_subquery()
_FULL_REPORT = (client_state.c.report_epoch != EPOCH).label("full_report")
CLIENTS = (
    select(
        client,
        _FULL_REPORT,
        client_state.c.scan_wanted,
        *(c for c in machine_attributes.columns if not c.primary_key),
    )
    .join(client_state, client_state.c.client == client.c.number)
    .outerjoin(machine_attributes, machine_attributes.c.client == client.c.number)
)

_STANDINGS = (
    select(
        client.c.number,
        client.c.uuid,
        client.c.public_key,
        client.c.state,
        _FULL_REPORT,
        client_state.c.counter,
        client_state.c.digest,
        client_state.c.boot_id,
        client_state.c.restores,
        client_state.c.scan_wanted,
        client_presence.c.counter.label("seen_counter"),
    )
    .join(client_state, client_state.c.client == client.c.number)
    .join(client_presence, client_presence.c.client == client.c.number)
    # Without a key there is nothing that could admit it.
    .where(client.c.state != ClientState.EXPECTED.value)
)


def standings(connection: Connection, uuids: Sequence[bytes]) -> Sequence[Standing]:
    found = _STANDINGS.where(client.c.uuid.in_(uuids))
    return [rows.standing_of(row) for row in connection.execute(found).all()]


def standings_after(connection: Connection, number: int, *, limit: int) -> Sequence[Standing]:
    found = _STANDINGS.where(client.c.number > number).order_by(client.c.number).limit(limit)
    return [rows.standing_of(row) for row in connection.execute(found).all()]


def clients(
    connection: Connection, *, after: int, limit: int, search: str, state: str
) -> Sequence[Client]:
    found = CLIENTS.where(client.c.number > after).order_by(client.c.number).limit(limit)
    if search:
        found = found.where(client.c.name.icontains(search, autoescape=True))
    if state:
        found = found.where(client.c.state == state)
    return [rows.client_of(row) for row in connection.execute(found)]


def states(connection: Connection, *, after: int, limit: int) -> Sequence[StateRow]:
    found = (
        select(client_state)
        .where(client_state.c.client > after, client_state.c.counter > 0)
        .order_by(client_state.c.client)
        .limit(limit)
    )
    return [rows.state_of(row) for row in connection.execute(found)]


def audit_entries(connection: Connection, *, after: int, limit: int) -> Sequence[AuditEntry]:
    found = select(audit).where(audit.c.sequence > after).order_by(audit.c.sequence).limit(limit)
    return [rows.audit_entry_of(row) for row in connection.execute(found)]


def api_token_by_hash(connection: Connection, secret_hash: bytes) -> ApiToken | None:
    row = connection.execute(
        select(api_token).where(api_token.c.secret_hash == secret_hash)
    ).first()
    return None if row is None else rows.api_token_of(row)


def api_tokens(connection: Connection) -> Sequence[ApiToken]:
    found = select(api_token).order_by(api_token.c.created_at, api_token.c.id)
    return [rows.api_token_of(row) for row in connection.execute(found)]


def enrolment_tokens(
    connection: Connection, ids: Sequence[str] | None = None
) -> Sequence[EnrolmentToken]:
    found = select(enrolment_token).order_by(enrolment_token.c.created_at, enrolment_token.c.id)
    if ids is not None:
        found = found.where(enrolment_token.c.id.in_(ids))
    return [rows.enrolment_token_of(row) for row in connection.execute(found)]


def setting_value(connection: Connection, name: str) -> bytes | None:
    return connection.execute(select(setting.c.value).where(setting.c.name == name)).scalar()


def inventory(connection: Connection, client_number: int, kind: str) -> bytes | None:
    found = (
        select(inventory_blob.c.body)
        .join(client_inventory, client_inventory.c.digest == inventory_blob.c.digest)
        .where(client_inventory.c.client == client_number, client_inventory.c.kind == kind)
    )
    return connection.execute(found).scalar()


def inventory_digests(connection: Connection, *, after: bytes, limit: int) -> Sequence[bytes]:
    digest = inventory_blob.c.digest
    found = select(digest).where(digest > after).order_by(digest).limit(limit)
    return list(connection.execute(found).scalars())


def events(connection: Connection, client_number: int) -> Sequence[tuple[int, bytes]]:
    """Return (counter, events) of each report of the client that told any, oldest first."""
    found = (
        select(client_event.c.counter, client_event.c.events)
        .where(client_event.c.client == client_number)
        .order_by(client_event.c.counter)
    )
    return [(row.counter, row.events) for row in connection.execute(found)]
