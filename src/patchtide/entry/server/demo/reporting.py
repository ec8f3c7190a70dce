"""What machines of the demonstration tell, written where the agents' plane would write it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby

import msgspec

from patchtide.domain.applicability.facts import Facts
from patchtide.entry.server.demo.lots import chance
from patchtide.entry.server.demo.machines import DAY_S, Person, person, zone_of
from patchtide.entry.server.demo.stock import Standing, Stock
from patchtide.entry.server.node import Server
from patchtide.server.ports.clients import Client, ClientState
from patchtide.server.ports.reports import HeldInventory, IncomingReport, Presence
from patchtide.wire.inventory import HardwareV1, facts_list, hardware
from patchtide.wire.messages import EventV1, HealthV1, encode
from patchtide.wire.sets import encode_set

FIRST_COUNTER = 2
AT_ONCE = 250
TOGETHER_S = 120.0
MODELS = 24
SPREAD_S = 3000.0
"""The last reports are so old at most: machines come each hour, and one before that is silent."""
_NOTHING = encode_set([])


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One report on its way, with what it was made from."""

    client: Client
    person: Person
    standing: Standing
    report: IncomingReport
    at: float


def told(
    client: Client, one: Person, stock: Stock, *, at: float, counter: int, serial: int
) -> Told:
    standing = stock.standing(one, at=at)
    return Told(
        client=client,
        person=one,
        standing=standing,
        report=_report(client, one, standing, stock, at=at, counter=counter, serial=serial),
        at=at,
    )


def _report(
    client: Client,
    one: Person,
    standing: Standing,
    stock: Stock,
    *,
    at: float,
    counter: int,
    serial: int,
) -> IncomingReport:
    events = []
    if counter == FIRST_COUNTER:
        days = int(DAY_S * (1 + 9 * chance("restarted", client.number)))
        events = [
            EventV1(at=int(at) - 40, code="scan-completed"),
            EventV1(at=int(at) - days, code="restarted", detail=f"kernel {one.system.kernel}"),
        ]
    return IncomingReport(
        client=client.number,
        counter=counter,
        lineage=stock.lineage,
        digest=standing.digest,
        base=None,
        required=standing.required,
        installed=standing.installed,
        unknown=standing.unknown,
        gone=_NOTHING,
        has_states=True,
        shards=msgspec.msgpack.encode({one.system.shard: serial}),
        boot_id="boot",
        scan="failed" if one.error else "completed",
        scanned_at=int(at) - 30,
        scan_error=one.error,
        restored=False,
        aged_catalog=one.aged,
        events=msgspec.msgpack.encode(events) if events else b"",
    )


def health(one: Person) -> bytes:
    return encode(HealthV1(restart_pending=one.restart))


def is_heard(client: Client, one: Person) -> bool:
    return client.state is ClientState.ACTIVE and not one.never and not one.silent_s


async def report_first(server: Server, clients: Sequence[Client], stock: Stock) -> None:
    """Have every active machine report: some never did, some fell silent, some scans fail."""
    now = server.context.clock.now().timestamp()
    serials = server.catalog.serials()
    made: list[Told] = []
    for client in clients:
        one = person(client)
        if client.state is ClientState.ACTIVE and not one.never:
            age = one.silent_s or SPREAD_S * chance("age", client.number)
            serial = serials.get(one.system.shard, 0)
            made.append(
                told(client, one, stock, at=now - age, counter=FIRST_COUNTER, serial=serial)
            )
    made.sort(key=lambda one: one.at)
    await take(server, made)
    await Shelves().tell(server, made, now=now)


async def take(server: Server, made: Sequence[Told]) -> None:
    """Make the reports durable, those of some minutes together."""
    for at, some in groupby(made, lambda one: one.at // TOGETHER_S * TOGETHER_S):
        await server.storage.accept([one.report for one in some], now=at)
    seen = [
        Presence(
            client=one.client.number,
            counter=one.report.counter,
            seen_at=one.at,
            health=health(one.person),
        )
        for one in made
    ]
    await server.storage.flush_presence(seen)


@dataclass(slots=True)
class Shelves:
    """The bodies that were handed in already: what thousands have is sent once."""

    _given: set[bytes] = field(default_factory=set)

    async def tell(self, server: Server, made: Sequence[Told], *, now: float) -> None:
        """Have these machines hold their packages, their facts and what they are made of."""
        held: list[HeldInventory] = []
        for one in made:
            model = _hardware_of(one.person, one.client.number % MODELS, zone=zone_of(one.client))
            bodies = (
                ("packages", one.standing.packages, one.standing.packages_digest),
                ("facts", *_digested(_facts_of(one.person))),
                ("hardware", *_digested(model)),
            )
            for kind, body, digest in bodies:
                await self.give(server, one.client, kind, body, digest, now=now)
                held.append(
                    HeldInventory(client=one.client.number, kind=kind, digest=digest, at=now)
                )
        for start in range(0, len(held), 2 * AT_ONCE):
            await server.storage.hold_inventory(held[start : start + 2 * AT_ONCE])

    async def give(
        self, server: Server, client: Client, kind: str, body: bytes, digest: bytes, *, now: float
    ) -> None:
        if digest not in self._given:
            await server.storage.put_inventory(
                client.number, kind=kind, digest=digest, body=body, now=now
            )
            self._given.add(digest)


def _digested(body: bytes) -> tuple[bytes, bytes]:
    return body, sha256(body).digest()


def _facts_of(one: Person) -> bytes:
    system = one.system
    return facts_list(
        Facts(
            os_id=system.os_id,
            os_version=system.version,
            architecture="amd64",
            kernel=system.kernel,
            packages={system.format: {}},
        )
    )


def _hardware_of(one: Person, variant: int, *, zone: str) -> bytes:
    return hardware(
        HardwareV1(
            system=one.system.calls_itself,
            kernel=one.system.kernel,
            architecture="amd64",
            model="Notebook 14" if one.role == "laptop" else "KVM guest",
            processors=2 + variant % 3 * 2,
            memory_bytes=(4 + variant % 5 * 4) << 30,
            addresses=(f"10.4.{variant % 4}.{variant}",),
            services=("ssh.service", "cron.service", "nginx.service", "chrony.service"),
            time_zone=zone,
        )
    )
