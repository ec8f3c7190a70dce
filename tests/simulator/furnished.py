"""A running server with a fleet in its database: machines, updates, reports; no agent runs.

All of it follows from numbers, so that pictures and measurements are the same every time.

    python -m tests.simulator.furnished HOME PORT MACHINES [hostile]

It says where it is by one JSON line and serves until its standard input ends. `hostile`: machines
and updates have names and facts full of markup.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import msgspec

from patchtide.domain.applicability.facts import Facts
from patchtide.domain.catalog.details import (
    Classification,
    FixedPackage,
    Severity,
    UpdateDetails,
)
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import (
    And,
    Architecture,
    Comparison,
    Not,
    OperatingSystem,
    Or,
    PackageFormat,
    PackageInstalled,
)
from patchtide.domain.catalog.updates import (
    LeafFile,
    Origin,
    Restart,
    Revision,
    UpdateNumber,
    update_id,
)
from patchtide.entry.server.serving import Server, running
from patchtide.entry.server.settings import read_settings
from patchtide.server.ports.clients import Client, ClientState, NewClient
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.reports import HeldInventory, IncomingReport, Presence
from patchtide.wire.inventory import HardwareV1, facts_list, hardware, package_list
from patchtide.wire.messages import EventV1, HealthV1, encode
from patchtide.wire.sets import encode_set, state_digest

SHARD = "debian-12"
SOURCES = (
    "openssl", "linux", "curl", "glibc", "openssh", "sudo", "systemd", "bind9", "expat", "libxml2",
    "postgresql-15", "nginx", "git", "python3.11", "perl", "krb5", "gnutls28", "zlib", "vim",
    "samba", "cups", "ghostscript", "imagemagick", "firefox-esr", "chromium", "ruby3.1", "php8.2",
    "intel-microcode", "dpkg", "rsync", "tzdata", "ncurses", "libssh2", "unbound", "dnsmasq",
    "haproxy", "varnish", "redis", "mariadb", "tomcat10",
)  # fmt: skip
ROLES = ("web", "db", "cache", "mail", "build", "edge", "ldap", "files", "proxy", "queue")
SITES = ("fra", "ams", "lon", "nyc")
GROUPS = ("production", "staging", "office", "")
SEVERITIES = (Severity.NONE, Severity.MODERATE, Severity.IMPORTANT, Severity.CRITICAL, Severity.LOW)


@dataclass(frozen=True, slots=True)
class Published:
    details: UpdateDetails
    number: int


def chance(*parts: object) -> float:
    """A number from 0 to 1 that is always the same for the same words."""
    digest = sha256("\n".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def details_of(number: int, *, now: datetime) -> UpdateDetails:
    source = SOURCES[number % len(SOURCES)]
    version = f"{1 + number % 7}.{number % 19}.{number // len(SOURCES)}-1+deb12u{1 + number % 5}"
    security = chance("security", number) < 0.7
    names = (source, f"lib{source}-common", f"{source}-doc")[: 1 + number % 3]
    cves = tuple(
        f"CVE-2026-{10_000 + number * 7 + n}" for n in range(int(chance("cves", number) * 5))
    )
    return UpdateDetails(
        update=update_id("furnished", f"{source}/{version}"),
        vendor_id=f"debian/bookworm-security/{source}/{version}",
        title=f"{source} {version}",
        description="\n".join(f"{name}: what {name} is for" for name in names),
        feed="debian-security" if security else "debian-updates",
        vendor="Debian",
        product="Debian 12",
        classification=Classification.SECURITY if security else Classification.GENERAL,
        severity=SEVERITIES[int(chance("severity", number) ** 1.6 * 5)] if security
        else Severity.NONE,
        cves=cves if security else (),
        packages=tuple(FixedPackage(name, version, "amd64") for name in names),
        released=now - timedelta(hours=7 + 11 * number),
    )  # fmt: skip


def leaf_of(details: UpdateDetails) -> Leaf:
    older = tuple(
        PackageInstalled(PackageFormat.DEB, p.name, Comparison.LESS, p.version)
        for p in details.packages
    )
    return Leaf(
        number=UpdateNumber(0),
        revision=Revision(1),
        update=details.update,
        title=details.title,
        prerequisite=And((OperatingSystem("debian", ("12",)), Architecture(("amd64",)))),
        applicable=Or(tuple(PackageInstalled(PackageFormat.DEB, p.name) for p in details.packages)),
        installed=Not(Or(older)),
        files=tuple(
            LeafFile(
                name=p.name,
                version=p.version,
                sha256=sha256(p.name.encode()).digest(),
                size_bytes=int(chance("size", p.name) * 4_000_000),
            )
            for p in details.packages
        ),
        origin=Origin(f"feed:{details.feed}"),
        restart=Restart.ALWAYS if details.title.startswith("linux ") else Restart.NEVER,
    )


async def publish(server: Server, details: Sequence[UpdateDetails]) -> Sequence[Published]:
    done = await server.catalog.publish("feed:debian", SHARD, leaves=list(map(leaf_of, details)))
    numbers = {leaf.update: leaf.number for leaf in done.leaves}

    def work(tx: Transaction) -> None:
        tx.put_update_details(details)
        tx.note(SHARD, updates=len(details))

    now = server.context.clock.now()
    await server.storage.decide("feed:debian", "catalog.describe", work, now=now)
    return [Published(one, numbers[one.update]) for one in details]


async def enrol(
    server: Server, count: int, *, names: Sequence[str] = (), since: timedelta = timedelta(days=40)
) -> Sequence[Client]:
    now = server.context.clock.now()

    def new(number: int) -> NewClient:
        role = ROLES[number % len(ROLES)]
        name = f"{role}-{SITES[number // len(ROLES) % len(SITES)]}-{number:04d}"
        key = sha256(f"furnished {number}".encode()).digest()
        state = ClientState.ACTIVE
        if count >= 40 and number % 97 == 11:
            state = ClientState.WAITING
        if count >= 40 and number % 211 == 20:
            state = ClientState.QUARANTINED
        return NewClient(
            uuid=key[:16],
            name=names[number] if number < len(names) else name,
            public_key=key,
            machine=sha256(key).digest(),
            site="main",
            state=state,
            group=GROUPS[int(chance("group", number) ** 1.5 * len(GROUPS))],
            platform=SHARD,
            agent_version="0.2.0",
        )

    clients: list[Client] = []
    for start in range(0, count, 100):

        def work(tx: Transaction, start: int = start) -> list[Client]:
            made = []
            for number in range(start, min(start + 100, count)):
                client = new(number)
                made.append(tx.add_client(client, now=now - since * chance("age", number)))
                tx.note(client.uuid.hex(), name=client.name)
            return made

        clients += await server.storage.decide("system", "agents.enrol", work, now=now)
    return clients


async def report(server: Server, clients: Sequence[Client], updates: Sequence[Published]) -> None:
    """Have every active machine report; some never did, some fell silent, some scans failed."""
    now = server.context.clock.now().timestamp()
    lineage = bytes(server.catalog.lineage())
    serial = server.catalog.serials()[SHARD]
    reports, presences, heard = [], [], []
    for client in clients:
        mood = chance("mood", client.number)
        if client.state is not ClientState.ACTIVE or mood < 0.02:
            continue
        age = 3600 * 24 * 20 if mood < 0.045 else 60 + 5400 * chance("age", client.number)
        one = report_of(client, updates, lineage=lineage, serial=serial, now=now - age)
        reports.append((now - age, one if mood > 0.06 else replace(one, scan="failed")))
        heard.append(client)
        health = encode(HealthV1(restart_pending=chance("restart", client.number) < 0.05))
        presences.append(
            Presence(client=client.number, counter=2, seen_at=now - age, health=health)
        )
    for at, one in reports:
        await server.storage.accept([one], now=at)
    await server.storage.flush_presence(presences)
    await tell_facts(server, heard, updates, now=now)


def report_of(
    client: Client, updates: Sequence[Published], *, lineage: bytes, serial: int, now: float
) -> IncomingReport:
    current = chance("current", client.number)
    required, installed, unknown = [], [], []
    for update in updates:
        has = chance("has", client.number % 40, update.details.title.split()[0]) < 0.6
        if not has:
            continue
        behind = chance("behind", client.number, update.number)
        fresh = chance("fresh", update.number) ** 4
        if current > 0.68 and behind < 0.01 + 0.9 * fresh * (current - 0.68):
            required.append(update.number)
        elif current > 0.985 and behind > 0.9:
            unknown.append(update.number)
        else:
            installed.append(update.number)
    sets = [encode_set(sorted(numbers)) for numbers in (required, installed, unknown)]
    events = [
        EventV1(at=int(now) - 4000, code="scan-completed", detail=f"{len(updates)} updates judged"),
        EventV1(at=int(now) - 90_000, code="restarted", detail="kernel 6.1.0-28 to 6.1.0-31"),
    ]
    return IncomingReport(
        client=client.number,
        counter=2,
        lineage=lineage,
        digest=state_digest(lineage=lineage, required=sets[0], installed=sets[1], unknown=sets[2]),
        base=None,
        required=sets[0],
        installed=sets[1],
        unknown=sets[2],
        gone=encode_set([]),
        has_states=True,
        shards=msgspec.msgpack.encode({SHARD: serial}),
        boot_id="boot",
        scan="completed",
        scanned_at=int(now) - 30,
        scan_error="",
        restored=False,
        aged_catalog=False,
        events=msgspec.msgpack.encode(events),
    )


async def tell_facts(
    server: Server, clients: Sequence[Client], updates: Sequence[Published], *, now: float
) -> None:
    rows = [
        (p.name, f"0.{n}.1-1", "amd64")
        for n, update in enumerate(updates)
        for p in update.details.packages
    ]
    packages = package_list({name: (name, v, a) for name, v, a in rows}.values())
    await _give(server, clients, "packages", packages, now=now)
    facts = Facts(
        os_id="debian",
        os_version="12",
        architecture="amd64",
        kernel="6.1.0-31-amd64",
        packages={PackageFormat.DEB: {}},
    )
    await _give(server, clients, "facts", facts_list(facts), now=now)
    for variant in range(MODELS):
        alike = clients[variant::MODELS]
        await _give(server, alike, "hardware", _hardware_of(variant), now=now)


MODELS = 24


def _hardware_of(variant: int) -> bytes:
    return hardware(
        HardwareV1(
            system="Debian GNU/Linux 12 (bookworm)",
            kernel="6.1.0-31-amd64",
            architecture="amd64",
            model="KVM guest",
            processors=2 + variant % 3 * 2,
            memory_bytes=(4 + variant % 5 * 4) << 30,
            addresses=(f"10.4.{variant % 4}.{variant}",),
            services=("ssh.service", "cron.service", "nginx.service", "chrony.service"),
        )
    )


async def _give(
    server: Server, clients: Sequence[Client], kind: str, body: bytes, *, now: float
) -> None:
    """Have these machines hold one body: sent once, named by all of them."""
    if not clients:
        return
    digest = sha256(body).digest()
    first = clients[0].number
    await server.storage.put_inventory(first, kind=kind, digest=digest, body=body, now=now)
    held = [HeldInventory(client=c.number, kind=kind, digest=digest, at=now) for c in clients]
    for start in range(0, len(held), 500):
        await server.storage.hold_inventory(held[start : start + 500])


HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "' onmouseover='alert(4)",
    "{{7*7}}",
    "{% include 'x' %}",
    "<%= 7*7 %>",
    "${7*7}",
    "javascript:alert(5)",
    "=cmd|' /C calc'!A0",
    "<iframe src=javascript:alert(6)></iframe>",
    "<base href=//evil.example>",
    "<style>*{display:none}</style>",
    "<form action=//evil.example><input name=form_token>",
    "</title></head><script>alert(7)</script>",
    "<div hx-get='/sign-out' hx-trigger='load' hx-on:click='alert(8)'>",
    "\u202egnp.exe",
    "a" * 120,
)
"""What a machine or a feed may call itself to harm whoever reads it."""


async def furnish(server: Server, *, machines: int, updates: int, hostile: bool = False) -> None:
    now = server.context.clock.now()
    details = [details_of(n, now=now) for n in range(updates)]
    names: Sequence[str] = ()
    if hostile:
        names = HOSTILE
        details[: len(HOSTILE)] = [
            replace(one, title=text, description=text, cves=(text,), vendor_id=text, product=text)
            for one, text in zip(details, HOSTILE, strict=False)
        ]
    published = await publish(server, details)
    clients = await enrol(server, machines, names=names)
    await report(server, clients, published)
    if hostile:
        for client, text in zip(clients, HOSTILE, strict=False):
            facts = HardwareV1(
                host_name=text, system=text, kernel=text, model=text, addresses=(text,),
                services=(text,),
            )  # fmt: skip
            await _give(server, [client], "hardware", hardware(facts), now=now.timestamp())
            listed = package_list([(text, text, text)])
            await _give(server, [client], "packages", listed, now=now.timestamp())
    await server.agents.standings.refresh([client.uuid for client in clients])


async def _serve(home: str, port: str, machines: str, *more: str) -> None:
    settings = read_settings(["--home", home, "--port", port, "--host", "127.0.0.1"], {})
    async with running(settings) as server:
        if server.code:
            await furnish(server, machines=int(machines), updates=160, hostile=more == ("hostile",))
        sys.stdout.write(json.dumps({"port": server.port, "code": server.code}) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


@dataclass(frozen=True, slots=True)
class Furnished:
    """Where such a server is, and how it is claimed."""

    url: str
    code: str


@contextlib.contextmanager
def furnished(home: Path, machines: int, *, hostile: bool = False) -> Iterator[Furnished]:
    """Run it as a process within the block."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.simulator.furnished", str(home), "0", str(machines)]
    process = subprocess.Popen(
        [*command, "hostile"] if hostile else command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"},
        text=True,
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        yield Furnished(url=f"https://127.0.0.1:{said['port']}", code=said["code"])
    finally:
        process.communicate(input="", timeout=30)


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
