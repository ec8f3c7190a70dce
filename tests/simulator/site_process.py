"""A real server in a process of its own, with a catalog that grows when told so.

    python -m tests.simulator.site_process ARGUMENTS...      (those of `patchtide serve`)

Each line on standard input is a command, each answered by one JSON line: `publish N` puts N
leaves into `debian-12`, `revise N` revises the first N, `drop N` takes N out, `sign` signs the
daily timestamp, `listening` says how many hear it, `token N` makes an
enrolment token with N uses, `states` says how many machines reported and what they need, `view`
what this node's index counts of them, `archive` takes the audit out of the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import structs

from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import (
    And,
    Comparison,
    OperatingSystem,
    PackageFormat,
    PackageInstalled,
)
from patchtide.domain.catalog.updates import LeafFile, Origin, Revision, UpdateNumber, update_id
from patchtide.entry.server.serving import Server, running
from patchtide.entry.server.settings import read_settings
from patchtide.server.fleet_view import View
from patchtide.server.ports.clients import EnrolmentToken
from patchtide.server.ports.decisions import Transaction
from patchtide.wire.sets import decode_set
from tests.simulator.token_maker import MAKER, let_in_maker

SHARD = "debian-12"
ROOT = Path(__file__).parents[2]


def a_leaf(number: int) -> Leaf:
    """Return the update of `pkg-N` to 1.1-1: needed where an older one is installed."""
    name = f"pkg-{number}"
    here = PackageInstalled(PackageFormat.DEB, name)
    new = PackageInstalled(PackageFormat.DEB, name, comparison=Comparison.AT_LEAST, version="1.1-1")
    return Leaf(
        number=UpdateNumber(0),
        revision=Revision(1),
        update=update_id("simulated", name),
        title=f"{name} security update",
        prerequisite=OperatingSystem("debian", ("12",)),
        applicable=here,
        installed=And((here, new)),
        files=(
            LeafFile(
                name=name,
                version="1.1-1",
                sha256=sha256(name.encode()).digest(),
                size_bytes=10_000,
            ),
        ),
        origin=Origin("feed:simulated"),
    )


class Commands:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._leaves: list[Leaf] = []
        self._made = 0

    async def publish(self, count: int) -> dict[str, Any]:
        fresh = [a_leaf(number) for number in range(self._made, self._made + count)]
        self._made += count
        done = await self._server.catalog.publish("test", SHARD, leaves=fresh)
        self._leaves += done.leaves
        return {"serial": done.serial}

    async def revise(self, count: int) -> dict[str, Any]:
        revised = [replace(x, revision=Revision(x.revision + 1)) for x in self._leaves[:count]]
        done = await self._server.catalog.publish("test", SHARD, leaves=revised)
        self._leaves[:count] = done.leaves
        return {"serial": done.serial}

    async def drop(self, count: int) -> dict[str, Any]:
        gone, self._leaves = self._leaves[:count], self._leaves[count:]
        done = await self._server.catalog.publish("test", SHARD, drops=[x.number for x in gone])
        return {"serial": done.serial, "gone": [x.number for x in gone]}

    async def sign(self, _: int) -> dict[str, Any]:
        await self._server.catalog.stay_fresh()
        return {}

    async def listening(self, _: int) -> dict[str, Any]:
        return {"machines": len(self._server.agents.events)}

    async def token(self, uses: int) -> dict[str, Any]:
        token_id, secret = secrets.token_hex(4), secrets.token_hex(16)
        context = self._server.context
        now = context.clock.now()
        token = EnrolmentToken(
            id=token_id,
            secret_hash=sha256(secret.encode()).digest(),
            site=context.site_name,
            group="",
            uses_left=uses,
            approve=False,
            created_at=now,
            expires_at=now + timedelta(hours=1),
            created_by=MAKER,
        )

        def work(tx: Transaction) -> None:
            let_in_maker(tx, now=now)
            tx.add_enrolment_token(token)
            tx.note(token_id)

        await self._server.storage.decide("test", "tokens.create", work, now=now)
        return {"token": f"pt1.{token_id}.{secret}.{context.site_ca}"}

    async def states(self, _: int) -> dict[str, Any]:
        """Return every machine's row in short: UUID -> serial, and a digest of what it needs."""
        storage = self._server.storage
        uuids = {client.number: client.uuid for client in storage.clients(limit=100_000)}
        rows = storage.states(limit=100_000)
        return {
            "machines": len(rows),
            "required": sum(len(decode_set(row.required)) for row in rows),
            "installed": sum(len(decode_set(row.installed)) for row in rows),
            "unknown": sum(len(decode_set(row.unknown)) for row in rows),
            "digests": {uuids[row.client].hex(): row.digest.hex() for row in rows},
            "counters": {uuids[row.client].hex(): row.counter for row in rows},
            "changes": sorted(row.change for row in rows),
            "audit": repr(storage.verify_audit()),
        }

    async def view(self, _: int) -> dict[str, Any]:
        fleet = self._server.context.fleet

        def counted(view: View) -> dict[str, Any]:
            tallies = [structs.asdict(view.tally_of(update)) for update in view.updates.values()]
            names = ("required", "installed", "not_required", "unknown")
            return {
                "machines": len(view.active),
                "updates": len(tallies),
                **{name: sum(tally[name] for tally in tallies) for name in names},
            }

        return await fleet.run(lambda: fleet.ask(counted))

    async def archive(self, _: int) -> dict[str, Any]:
        storage = self._server.storage
        segment = storage.audit_segment(after=storage.audit_archived())
        if segment is not None:
            self._server.context.audit_archive.keep(segment)
            await storage.note_archived(segment.last)
        return {}

    async def inventories(self, _: int) -> dict[str, Any]:
        """Return each machine's list of packages by its digest, and which bodies there are."""
        storage = self._server.storage
        listed = {
            client.uuid.hex(): storage.inventory(client.number, "packages")
            for client in storage.clients(limit=100_000)
        }
        return {
            "machines": {uuid: body and sha256(body).hexdigest() for uuid, body in listed.items()},
            "bodies": [digest.hex() for digest in storage.inventory_digests()],
        }


async def main() -> None:
    settings = read_settings(sys.argv[1:], os.environ)
    loop = asyncio.get_running_loop()
    async with running(settings) as server:
        commands = Commands(server)
        _say({"port": server.port})
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            name, _, count = line.strip().partition(" ")
            _say(await getattr(commands, name)(int(count or 0)))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class SiteProcess:
    """The other end: a server process to talk to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.port = int(self._heard()["port"])
        self.url = f"https://localhost:{self.port}"

    def tell(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._heard()

    def kill(self) -> None:
        """End it as a power cut would: nothing is flushed, nothing is said."""
        self.process.kill()
        self.process.wait()

    def _heard(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server ended with {self.process.wait()}")
        heard: dict[str, Any] = json.loads(line)
        return heard


@contextlib.contextmanager
def site(
    home: Path, database: str, *, port: int = 0, host: str = "127.0.0.1", **settings: str
) -> Iterator[SiteProcess]:
    """Run a server until the block ends."""
    arguments = ["--home", str(home), "--host", host, "--port", str(port)]
    arguments += ["--database", database]
    for name, value in settings.items():
        arguments += [f"--{name.replace('_', '-')}", value]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.simulator.site_process", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )
    try:
        yield SiteProcess(process)
    finally:
        if process.poll() is None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


if __name__ == "__main__":
    asyncio.run(main())
