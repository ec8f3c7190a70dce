"""Queries over 100,000 machines: of a thousand collections, one machine's change, one that
enrols, and single ones.

Machines have 2,000 different lists of 600 packages between them, and hardware that is no other's:
a name and an address each. Every tenth collection asks for the one before it; another thousand are
made of these and of each other. The baseline is to go through all machines once, looking at one
name. All of it is processor time.
"""

from __future__ import annotations

import ctypes
import gc
import random
import resource
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from time import process_time
from typing import Any
from uuid import UUID

from pyroaring import BitMap

from benchmarks import reports
from patchtide.domain.collections.definitions import ALL_MACHINES, Definition
from patchtide.domain.compliance.states import States
from patchtide.server.collection_index import CollectionIndex
from patchtide.server.fact_index import FactFollower, FactIndex
from patchtide.server.followed_view import FollowedView
from patchtide.server.known_updates import Catalog, KnownUpdate
from patchtide.server.machine_index import MachineIndex
from patchtide.server.member import Said
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.ports.fleet import ToldList
from patchtide.server.ports.following import Cursor
from patchtide.wire.inventory import FactsV1, HardwareV1, hardware, package_list
from patchtide.wire.messages import encode
from tests.simulator.reports import LINEAGE, NOON

LISTS, PACKAGES, QUERIES, CHANGES = 2_000, 600, 1_000, 30
STATES = reports.profiles()
DICE = random.Random(20261122)
PLATFORMS = ("debian", "12", "deb"), ("ubuntu", "24.04", "deb"), ("rhel", "9.4", "rpm")


class Lists:
    """What machines told, in memory: the store that facts are followed from."""

    def __init__(self, machines: Sequence[int]) -> None:
        self._bodies: dict[bytes, bytes] = {}
        self._held: dict[str, dict[int, bytes]] = {"packages": {}, "hardware": {}, "facts": {}}
        self._news: list[ToldList] = []
        self.lists: dict[int, int] = {}
        packages = [self.keep(packages_of(n)) for n in range(LISTS)]
        facts = [self.keep(facts_of(n)) for n in range(len(PLATFORMS))]
        for machine in machines:
            n = DICE.randrange(LISTS)
            self.lists[machine] = n
            self._held["packages"][machine] = packages[n]
            self._held["facts"][machine] = facts[n % len(PLATFORMS)]
            self._held["hardware"][machine] = self.keep(hardware_of(machine))

    def keep(self, body: bytes) -> bytes:
        digest = sha256(body).digest()
        self._bodies[digest] = body
        return digest

    def tell(self, machine: int, kind: str, body: bytes) -> None:
        self._news.append(ToldList(machine, kind, self.keep(body)))

    def epoch(self) -> Cursor:
        return Cursor(epoch="", n=len(self._news))

    def inventory_holders(
        self, kind: str, *, after: int = -1, limit: int = 1_000_000
    ) -> Sequence[tuple[int, bytes]]:
        return [] if after >= 0 else list(self._held[kind].items())

    def inventory_bodies(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return {digest: self._bodies[digest] for digest in digests}

    def inventories_after(self, cursor: Cursor) -> tuple[Cursor, Sequence[ToldList]]:
        return self.epoch(), self._news[cursor.n :]


def packages_of(n: int, *, newer: int = 0) -> bytes:
    """Return a list with a version of its own of one package in ten; so many are newer."""
    rows = (
        (
            f"lib{p + 40 * (n % 3)}",
            f"1.{(n if p % 10 == n % 10 else p) % 7}-{3 if p < newer else p % 3}",
            "amd64",
        )
        for p in range(PACKAGES)
    )
    return package_list(rows)


def facts_of(n: int) -> bytes:
    os, version, format = PLATFORMS[n]
    return encode(FactsV1(os_id=os, os_version=version, package_formats=(format,)))


def hardware_of(n: int) -> bytes:
    return hardware(
        HardwareV1(
            host_name=f"host-{n}",
            kernel=f"6.1.0-{n % 40}-amd64",
            architecture="amd64" if n % 9 else "arm64",
            model=f"Model {n % 60}",
            processors=2 ** (n % 6),
            memory_bytes=2**30 * 2 ** (n % 8),
            addresses=(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}",),
            services=("ssh.service", f"service-{n % 50}.service"),
        )
    )


def queries() -> Iterator[str]:
    """Yield different ones, as administrators make them for collections."""
    pick = DICE.choice
    shapes: Sequence[Callable[[int], str]] = (
        lambda n: f"package(lib{n % 640}) < 1.{n % 7}",
        lambda n: f"os = {pick(PLATFORMS)[0]} and package(lib{n % 640}) >= 1.{n % 7}-1",
        lambda n: f"address = 10.0.{n % 256}.0/24 and required > {n % 5}",
        lambda n: f"service = service-{n % 50}.service and not package(lib{n % 640})",
        lambda n: f"kernel < 6.1.0-{n % 40} and memory >= {2 ** (n % 8)} and arch = amd64",
        lambda n: f"(standing = required or unknown > {n % 9}) and model = 'Model {n % 60}'",
        lambda n: f"host contains -{n} or name = machine-{n}",
        lambda n: f"model in (a, 'Model {n % 60}') and processors > {n % 16} and not restart",
        lambda n: f"requires('CVE-2024-{n}') and not restart",
        lambda n: f"requires(severity = critical and age > {n % 90}d) and arch = amd64",
        lambda n: f"requires(title contains u{n}) or requires(exploited)",
        lambda n: f"silent > {n % 30}d and arch = amd64 and enrolled >= {n % 7}d",
    )
    for n in range(QUERIES):
        yield shapes[n % len(shapes)](n).replace("'", '"') + f" and name != none-{n}"


def a_view() -> FollowedView:
    view = FollowedView(now=NOON)
    known = {one.id: one for one in map(dressed, range(reports.UPDATES), reports.updates())}
    machines = range(1, reports.MACHINES + 1)
    view.put_clients([reports.a_client(n) for n in machines])
    view.put_catalog(LINEAGE, dict.fromkeys(reports.PLATFORMS, 9), Catalog(updates=known))
    view.put_rows(said(n, STATES[n % len(STATES)]) for n in machines)
    now = view.now.timestamp()
    at = {n: now - (n % 3600 if n % 50 else n % 40 * 86_400 + n) for n in machines}
    view.put_heard({n: n % 25 == 0 for n in machines}, at=at)
    return view


def dressed(n: int, update: KnownUpdate) -> KnownUpdate:
    """Return it as people read it: with a CVE, and released some day."""
    assert update.details is not None
    cve = f"CVE-2024-{n % 5_000}"
    released = NOON - timedelta(days=n % 700)
    details = replace(update.details, cves=(cve,), released=released)
    return replace(update, details=details, text=f"{update.title}\n{cve}".casefold())


def with_ten_more(states: States) -> States:
    """Return them with ten updates installed that were needed before, or needed that were not."""
    others = BitMap(sorted(states.required or states.installed)[:10])
    return replace(states, required=states.required ^ others, installed=states.installed ^ others)


def said(n: int, states: States) -> Said:
    return Said(
        client=n,
        lineage=LINEAGE,
        states=states,
        scan="completed",
        scan_error="",
        scanned_at=NOON,
        reported_at=NOON,
        aged_catalog=False,
    )


def cpu(work: Callable[[], object]) -> float:
    """Return the milliseconds that the processor was at it."""
    start = process_time()
    work()
    return (process_time() - start) * 1000


def figure(name: str, ms: float, budget: str, plain: float) -> None:
    print(f"100,000 machines: {name}\t{ms:.2f} ms\t{budget}\t{plain:.2f} ms", flush=True)


def memory_mb() -> float:
    """Return what the process uses now, without what its allocator keeps of what it once did."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    view = a_view()
    view.standings()
    store: Any = Lists(list(view.members))
    facts = FactIndex(is_whole=False)
    follower = FactFollower(store, facts, store.epoch, lambda work: work())
    plain = cpu(lambda: [1 for one in view.members.values() if "x" in one.client.name])
    gc.collect()
    before = memory_mb()
    figure("reading what all have told", cpu(follower.follow), "<= 60000 ms", plain)
    print(f"100,000 machines: facts in memory\t{memory_mb() - before:.0f} MB\t<= 300 MB\t-")
    texts = list(dict.fromkeys(queries()))
    index = MachineIndex(facts)
    collections = CollectionIndex(index)
    collections.answering(view, "restart")
    gc.freeze()
    view.put_collections(map(a_collection, range(len(texts)), texts))
    whole = cpu(lambda: collections.ground(view))
    figure(f"{len(texts)} query collections evaluated", whole, "<= 10000 ms", plain)
    kept = index._kept.size_bytes / 2**20
    print(f"100,000 machines: their answers in memory\t{kept:.0f} MB\t<= 200 MB\t-")
    machines = list(view.active)
    ask = partial(a_change, view, store, follower, collections)
    some = [(n, newer_packages(store, n)) for n in machines[: 97 * CHANGES : 97]]
    figure("one machine's change, all of them", median(ask, some), "<= 5 ms", plain)
    new = range(reports.MACHINES + 1, reports.MACHINES + 1 + 2 * CHANGES)
    come = partial(newcomers, view, store, follower, collections, plain=plain)
    come(new[:CHANGES], of="all of them")
    ask = partial(a_minute, view, collections)
    figure("a minute that passes", median(ask, batches(machines)), "<= 10 ms", plain)
    view.put_collections(map(an_including, range(len(texts))))
    whole = cpu(lambda: collections.ground(view))
    figure(f"{len(texts)} that include each other, too", whole, "<= 10000 ms", plain)
    ask = partial(a_change, view, store, follower, collections)
    some = [(n, newer_packages(store, n)) for n in machines[: 89 * CHANGES : 89]]
    figure("one machine's change, all of those", median(ask, some), "<= 5 ms", plain)
    come(new[CHANGES:], of="all of those")
    asked = [*texts[:200], *(f"collection = d{n} and restart" for n in range(900, 920))]
    asked += ["requires()", "requires(severity >= low)", "not requires(age > 14d) and required > 0"]
    singles = {text: cpu(partial(collections.answering, view, text)) for text in asked}
    worst = max(singles, key=lambda text: singles[text])
    figure(f"any query, the dearest: {worst}", singles[worst], "<= 100 ms", plain)


def median(work: Callable[[Any], object], some: Iterable[Any]) -> float:
    found = sorted(cpu(partial(work, one)) for one in islice(some, CHANGES))
    return found[CHANGES // 2]


def newer_packages(store: Lists, machine: int) -> bytes:
    """Return what a machine tells when it has newer ones: to make that is its own work."""
    return packages_of(store.lists[machine], newer=10)


def a_change(
    view: FollowedView,
    store: Lists,
    follower: FactFollower,
    collections: CollectionIndex,
    told: tuple[int, bytes],
) -> None:
    """Let a machine have newer packages, need other updates, and wait for a restart."""
    machine, packages = told
    store.tell(machine, "packages", packages)
    view.put_rows([said(machine, with_ten_more(STATES[machine % len(STATES)]))])
    view.put_heard({machine: True})
    follower.follow()
    collections.ground(view)


def an_enrolment(view: FollowedView, collections: CollectionIndex, machine: int) -> None:
    """Let one in of which nothing was known, and ask who is in what."""
    view.put_clients([reports.a_client(machine)])
    view.put_heard({machine: False}, at={machine: view.now.timestamp()})
    collections.ground(view)


def first_words(
    view: FollowedView,
    store: Lists,
    follower: FactFollower,
    collections: CollectionIndex,
    told: tuple[int, Mapping[str, bytes]],
) -> None:
    """Let one that enrolled tell all its lists, and how it stands, and ask who is in what."""
    machine, lists = told
    for kind, body in lists.items():
        store.tell(machine, kind, body)
    view.put_rows([said(machine, view.members[machine - reports.MACHINES].states)])
    follower.follow()
    collections.ground(view)


def newcomers(
    view: FollowedView,
    store: Lists,
    follower: FactFollower,
    collections: CollectionIndex,
    some: Sequence[int],
    *,
    of: str,
    plain: float,
) -> None:
    ask = partial(an_enrolment, view, collections)
    figure(f"a machine that newly enrols, {of}", median(ask, some), "<= 5 ms", plain)
    ask = partial(first_words, view, store, follower, collections)
    told = f"its first lists, {PACKAGES} packages, {of}"
    figure(told, median(ask, [(n, first_lists(n)) for n in some]), "<= 25 ms", plain)


def first_lists(machine: int) -> Mapping[str, bytes]:
    n = machine % LISTS
    return {
        "facts": facts_of(n % len(PLATFORMS)),
        "hardware": hardware_of(machine),
        "packages": packages_of(n),
    }


def batches(machines: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield the machines that check in within one minute each, where all do once an hour."""
    for n in range(CHANGES):
        yield machines[n::60]


def a_minute(view: FollowedView, collections: CollectionIndex, heard: Sequence[int]) -> None:
    view.now += timedelta(minutes=1)
    view.put_heard({}, at=dict.fromkeys(heard, view.now.timestamp()))
    collections.ground(view)


def a_collection(n: int, query: str) -> StoredCollection:
    """Return one of a thousand: every tenth asks for the one before it, too."""
    asked = f"({query}) or collection = c{n - 1}" if n % 10 == 9 else query
    definition = Definition(id=UUID(int=n + 1), name=f"c{n}", query=asked)
    return StoredCollection(definition=definition, revision=1, by="admin", at=NOON)


def an_including(n: int) -> StoredCollection:
    """Return one made of one that queries and of another such; some without, some within others."""
    definition = Definition(
        id=UUID(int=10_000 + n),
        name=f"d{n}",
        include=(UUID(int=n + 1), *([UUID(int=10_000 + n // 2)] if n else ())),
        exclude=(UUID(int=n * 7 % QUERIES + 1),) if n % 3 == 0 else (),
        limiting=UUID(int=10_000 + n // 3) if n % 5 == 4 else ALL_MACHINES,
    )
    return StoredCollection(definition=definition, revision=1, by="admin", at=NOON)


if __name__ == "__main__":
    main()
