"""A home with a published catalog, somebody who may look, and machines that never reported."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.fleet import enrol_all, fleet
from benchmarks.made_ahead import SHARD
from benchmarks.pages import NAME
from patchtide.domain.access.credentials import ApiTokenText, hash_of
from patchtide.domain.access.rights import ROLES
from patchtide.domain.catalog.details import Severity
from patchtide.entry.server.serving import Server, running
from patchtide.entry.server.settings import read_settings
from patchtide.server.ports.api_tokens import ApiToken
from patchtide.server.ports.decisions import Transaction
from patchtide.server.users import new_user
from tests.simulator.catalogs import a_leaf, an_update_id, some_details

PASSWORD = "four words in a row"
TOKEN = ApiTokenText(id="b" * 12, secret="c" * 64)
UPDATES, PART = 3_000, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    lineage: bytes
    serial: int
    numbers: Sequence[int]


def prepare(home: Path, database: str, *, machines: int) -> Published:
    return asyncio.run(_prepare(home, database, machines=machines))


async def _prepare(home: Path, database: str, *, machines: int) -> Published:
    async with running(_settings(home, database)) as server:
        done = await _publish(server, range(UPDATES), Severity.MODERATE)
        await _let_somebody_in(server)
    await enrol_all(database, fleet(machines))
    return done


def publish_more(home: Path, database: str, count: int) -> Published:
    """Publish so many updates that every machine will need, as another node would."""

    async def work() -> Published:
        async with running(_settings(home, database)) as server:
            return await _publish(server, range(UPDATES, UPDATES + count), Severity.CRITICAL)

    return asyncio.run(work())


def first_of_more() -> str:
    """Return the id of one of them."""
    return str(an_update_id(f"package{UPDATES}"))


def _settings(home: Path, database: str) -> object:
    arguments = ["--home", str(home), "--host", "127.0.0.1", "--port", "0"]
    return read_settings([*arguments, "--database", database], {})


async def _publish(server: Server, wanted: range, severity: Severity) -> Published:
    numbers: list[int] = []
    serial = 0
    for start in range(wanted.start, wanted.stop, 1000):
        names = [f"package{n}" for n in range(start, min(start + 1000, wanted.stop))]
        leaves = [a_leaf(0, name) for name in names]
        done = await server.catalog.publish("bench", SHARD, leaves=leaves)
        numbers += [leaf.number for leaf in done.leaves]
        serial = done.serial
        for first in range(0, len(names), PART):
            details = [
                some_details(name, severity=severity, cves=("CVE-2026-1",))
                for name in names[first : first + PART]
            ]
            await server.storage.decide(
                "bench",
                "catalog.describe",
                lambda tx, details=details: tx.put_update_details(details),  # type: ignore[misc]
                now=server.context.clock.now(),
            )
    return Published(lineage=bytes(server.catalog.lineage()), serial=serial, numbers=numbers)


async def _let_somebody_in(server: Server) -> None:
    now = datetime.now(UTC)
    rights = ROLES["full-administrator"]
    hashed = await server.context.passwords.hashed(PASSWORD, name=NAME)
    user = new_user(NAME, rights=rights, password_hash=hashed, now=now, by=NAME)
    token = ApiToken(
        id=TOKEN.id,
        name=NAME,
        secret_hash=hash_of(TOKEN.secret),
        rights=tuple(map(str, rights)),
        created_at=now,
        expires_at=None,
        created_by=NAME,
    )

    def work(tx: Transaction) -> None:
        tx.add_user(user)
        tx.add_api_token(token)

    await server.storage.decide(NAME, "users.create", work, now=now)
