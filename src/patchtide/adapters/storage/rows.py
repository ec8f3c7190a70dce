"""Rows become the server's records here, and nowhere else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from patchtide.adapters.storage.described import described_of
from patchtide.server.ports.api_tokens import ApiToken
from patchtide.server.ports.audit import AuditEntry
from patchtide.server.ports.catalog import StoredLeaf
from patchtide.server.ports.clients import Client, ClientState, EnrolmentToken, Standing
from patchtide.server.ports.reports import HeldInventory, StateRow

_STATES = {one.value: one for one in ClientState}


def instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def client_of(row: Any) -> Client:
    return Client(
        number=row.number,
        uuid=row.uuid,
        name=row.name,
        public_key=row.public_key,
        machine=row.machine,
        site=row.site,
        state=_STATES[row.state],
        enrolled_at=instant(row.enrolled_at),
        group=row.client_group,
        platform=row.platform,
        agent_version=row.agent_version,
        full_report=bool(row.full_report),
        described=described_of(row),
        scan_wanted=row.scan_wanted,
        build_until=row.build_until,
    )


def enrolment_token_of(row: Any) -> EnrolmentToken:
    return EnrolmentToken(
        id=row.id,
        secret_hash=row.secret_hash,
        site=row.site,
        group=row.client_group,
        uses_left=row.uses_left,
        approve=row.approve,
        created_at=instant(row.created_at),
        expires_at=instant(row.expires_at),
        created_by=row.created_by,
        machine=row.machine or b"",
    )


def api_token_of(row: Any) -> ApiToken:
    return ApiToken(
        id=row.id,
        name=row.name,
        secret_hash=row.secret_hash,
        rights=tuple(json.loads(row.rights)),
        created_at=instant(row.created_at),
        expires_at=None if row.expires_at is None else instant(row.expires_at),
        created_by=row.created_by,
        revoked_at=None if row.revoked_at is None else instant(row.revoked_at),
    )


def audit_entry_of(row: Any) -> AuditEntry:
    return AuditEntry(
        sequence=row.sequence,
        change=row.change,
        at=instant(row.at),
        actor=row.actor,
        operation=row.operation,
        subject=row.subject,
        detail=json.loads(row.detail),
        hash=row.hash,
    )


def leaf_of(row: Any) -> StoredLeaf:
    return StoredLeaf(
        number=row.number,
        revision=row.revision,
        update=row.update_id,
        document=row.document,
        entered_serial=row.entered_serial,
    )


def restores_of(data: bytes) -> tuple[float, ...]:
    return tuple(msgspec.msgpack.decode(data)) if data else ()


def standing_of(row: Any) -> Standing:
    # By place: of a million rows, to ask each for its columns by name takes as long as to read it.
    number, uuid, key, state, full, counter, digest, boot, restores, wanted, seen = row
    return Standing(
        number=number,
        uuid=uuid,
        public_key=key,
        state=_STATES[state],
        counter=max(counter, seen),
        digest=digest,
        boot_id=boot,
        full_report=bool(full),
        restores=restores_of(restores),
        scan_wanted=wanted,
    )


def held_inventory_of(row: Any) -> HeldInventory:
    return HeldInventory(client=row.client, kind=row.kind, digest=row.digest, at=row.at)


def state_of(row: Any) -> StateRow:
    return StateRow(
        client=row.client,
        counter=row.counter,
        lineage=row.lineage,
        digest=row.digest,
        required=row.required,
        installed=row.installed,
        unknown=row.unknown,
        shards=row.shards,
        scan=row.scan,
        scanned_at=row.scanned_at,
        reported_at=row.reported_at,
        change=row.change,
        boot_id=row.boot_id,
        restored_at=max(restores_of(row.restores), default=0.0),
        scan_error=row.scan_error,
        aged_catalog=bool(row.aged_catalog),
    )
