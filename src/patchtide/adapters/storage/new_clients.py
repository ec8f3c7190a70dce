"""Machines as they come: one that enrols, many that are expected, and one of those that enrols."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, insert, select, update

from patchtide.adapters.storage import blocks, described, reading
from patchtide.adapters.storage.batches import Batch
from patchtide.adapters.storage.rows import client_of
from patchtide.adapters.storage.tables import client, client_presence, client_state, enrolment_token
from patchtide.domain.compliance.described import UNDESCRIBED
from patchtide.server.ports.clients import Client, ClientState, ExpectedClient, NewClient

PART = 500
"""Both databases bound how many values a statement may have."""
_EXPECTED = client.c.state == ClientState.EXPECTED.value
# Made once: composing a statement takes longer than running it.
_ADD_CLIENT = insert(client)
_ADD_STATE = insert(client_state).values(report_epoch=reading.EPOCH)
_ADD_PRESENCE = insert(client_presence).values(counter=0, seen_at=0.0, health=b"")
_ADD_CLIENTS = Batch(_ADD_CLIENT)


def add(connection: Connection, new: NewClient, *, now: datetime) -> Client:
    number = blocks.take(connection, 1, kind=blocks.CLIENTS, holder=new.site)
    row = {"number": number, "uuid": new.uuid, "site": new.site, **_told(new, now)}
    connection.execute(_ADD_CLIENT, row)
    # The rows that reports update exist from the start: a report is never an insert.
    connection.execute(_ADD_STATE, {"client": number, **_NO_STATE})
    connection.execute(_ADD_PRESENCE, {"client": number})
    return Client(
        number=number,
        uuid=new.uuid,
        name=new.name,
        public_key=new.public_key,
        machine=new.machine,
        site=new.site,
        state=new.state,
        enrolled_at=now,
        group=new.group,
        platform=new.platform,
        agent_version=new.agent_version,
        build_until=new.build_until,
    )


def expect(
    connection: Connection, expected: Sequence[ExpectedClient], *, site: str, now: datetime
) -> Sequence[Client]:
    if not expected:
        return []
    first = blocks.take(connection, len(expected), kind=blocks.CLIENTS, holder=site)
    made = [
        Client(
            number=number,
            uuid=one.uuid,
            name=one.name,
            public_key=b"",
            machine=b"",
            site=site,
            state=ClientState.EXPECTED,
            enrolled_at=now,
            described=one.described,
        )
        for number, one in enumerate(expected, first)
    ]
    _ADD_CLIENTS.run(connection, [_row(one) for one in made])
    connection.execute(_ADD_STATE, [{"client": one.number, **_NO_STATE} for one in made])
    connection.execute(_ADD_PRESENCE, [{"client": one.number} for one in made])
    said = {one.number: one.described for one in made if one.described != UNDESCRIBED}
    described.add(connection, said)
    return made


def enrol(
    connection: Connection, new: NewClient, *, now: datetime, machine: bytes = b""
) -> Client | None:
    """Looking and taking are one statement: of two that enrol by one name, one is expected."""
    those = select(client.c.number).where(
        _EXPECTED, client.c.site == new.site, client.c.name.in_({new.name, new.name.lower()})
    )
    told = _told(new, now)
    if machine:
        those = those.where(client.c.uuid == machine)
        del told["name"]
    else:
        those = those.where(client.c.uuid.not_in(_kept_at(now)))
    first = those.order_by(client.c.number).limit(1).scalar_subquery()
    taken = update(client).where(client.c.number == first, _EXPECTED)
    number = connection.execute(taken.values(told).returning(client.c.number)).scalar_one_or_none()
    if number is None:
        return None
    row = connection.execute(reading.CLIENTS.where(client.c.number == number)).one()
    return client_of(row)


def _kept_at(now: datetime) -> Select[tuple[bytes]]:
    """The machines for each of which a token is out that can still be used."""
    token = enrolment_token.c
    live = (token.machine.is_not(None), token.uses_left > 0, token.expires_at > now.timestamp())
    return select(token.machine).where(*live)


def named(connection: Connection, names: Collection[str]) -> Sequence[Client]:
    ordered = sorted(names)
    parts = (ordered[start : start + PART] for start in range(0, len(ordered), PART))
    found = (
        reading.CLIENTS.where(
            client.c.name.in_(part), client.c.state != ClientState.DECOMMISSIONED.value
        )
        for part in parts
    )
    return [client_of(row) for part in found for row in connection.execute(part)]


def _told(new: NewClient, now: datetime) -> dict[str, Any]:
    """Return what an enrolment says of a machine."""
    return {
        "name": new.name,
        "public_key": new.public_key,
        "machine": new.machine,
        "client_group": new.group,
        "state": new.state.value,
        "platform": new.platform,
        "agent_version": new.agent_version,
        "enrolled_at": now.timestamp(),
        "build_until": new.build_until,
    }


def _row(one: Client) -> dict[str, Any]:
    return {
        "number": one.number,
        "uuid": one.uuid,
        "name": one.name,
        "public_key": one.public_key,
        "machine": one.machine,
        "site": one.site,
        "client_group": one.group,
        "state": one.state.value,
        "platform": one.platform,
        "agent_version": one.agent_version,
        "enrolled_at": one.enrolled_at.timestamp(),
        "build_until": 0,
        **described.columns_of(one.described),
    }


_NO_STATE: dict[str, object] = {
    "counter": 0,
    "lineage": b"",
    "digest": b"",
    "required": b"",
    "installed": b"",
    "unknown": b"",
    "shards": b"",
    "boot_id": "",
    "scan": "none",
    "scan_error": "",
    "scanned_at": 0,
    "aged_catalog": False,
    "reported_at": 0.0,
    "restores": b"",
    "change": 0,
}
