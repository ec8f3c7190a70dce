"""Machines and their reports as the storage takes them: say only what matters."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256

from patchtide.adapters.storage import Storage
from patchtide.server.ports.clients import Client, ClientState, NewClient
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.reports import IncomingReport
from patchtide.wire.sets import encode_set, state_digest

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LINEAGE = bytes(range(16))


def a_machine(number: int, *, name: str = "", site: str = "main") -> NewClient:
    key = sha256(f"machine {number}".encode()).digest()
    return NewClient(
        uuid=key[:16],
        name=name or f"web-{number}",
        public_key=key,
        machine=sha256(key).digest(),
        site=site,
        state=ClientState.ACTIVE,
    )


async def enrolled(storage: Storage, count: int = 1) -> list[Client]:
    def work(tx: Transaction) -> list[Client]:
        tx.note("fleet", count=count)
        return [tx.add_client(a_machine(number), now=NOON) for number in range(count)]

    return await storage.decide("admin", "machines.enrol", work, now=NOON)


def digest_of(
    required: Iterable[int] = (), installed: Iterable[int] = (), lineage: bytes = LINEAGE
) -> bytes:
    return state_digest(
        lineage=lineage,
        required=encode_set(required),
        installed=encode_set(installed),
        unknown=b"",
    )


def a_report(
    client: int,
    counter: int,
    *,
    required: Iterable[int] = (),
    installed: Iterable[int] = (),
    gone: Iterable[int] = (),
    base: bytes | None = None,
    digest: bytes | None = None,
    has_states: bool = True,
    restored: bool = False,
    events: bytes = b"",
    scan: str = "completed",
    lineage: bytes = LINEAGE,
) -> IncomingReport:
    """A full report, unless there is a base; its digest is right, unless one is given."""
    required, installed = list(required), list(installed)
    return IncomingReport(
        client=client,
        counter=counter,
        lineage=lineage,
        digest=digest_of(required, installed, lineage) if digest is None else digest,
        base=base,
        required=encode_set(required),
        installed=encode_set(installed),
        unknown=b"",
        gone=encode_set(gone),
        has_states=has_states,
        shards=b"\x80",
        boot_id="boot",
        scan=scan,
        scanned_at=1,
        scan_error="",
        restored=restored,
        aged_catalog=False,
        events=events,
    )
