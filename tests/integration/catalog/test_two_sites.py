"""One site above another: they share numbers, exchange files, and count the same machines alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pyroaring import BitMap

from patchtide.adapters.trust.vouching import Voucher, verified
from patchtide.domain.compliance.sites import Place, Population, containers_of, together
from patchtide.domain.compliance.states import Tally
from patchtide.domain.errors import CursorLost, InvalidDocument, PatchtideError, WrongState
from patchtide.server.child_sites import (
    ChildSite,
    Known,
    SiteOverstepped,
    SiteWentBack,
    Telling,
)
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.parent_catalog import Granted, ParentCatalog, ParentWentBack, granted, join
from patchtide.server.ports.catalog_files import ExporterUnknown, Pin
from patchtide.server.ports.clients import Client
from patchtide.server.ports.decisions import Transaction
from patchtide.wire.catalog_file import (
    ManifestV1,
    UpdatesV1,
    read_head,
    read_manifest,
    read_updates,
)
from patchtide.wire.shards import WrongShard
from patchtide.wire.site_states import ContainerV1, SiteNotSigned, SiteStatesV1, pack_states
from tests.integration.catalog.carrying_site import Site, site
from tests.integration.catalog.node import a_leaf
from tests.integration.catalog.test_synchronisation import SHARD, updates
from tests.simulator.catalogs import a_scan
from tests.simulator.clock import START
from tests.simulator.databases import Postgres, sqlite_url
from tests.simulator.reports import a_machine

pytestmark = pytest.mark.anyio
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def is_of_ship(signature: bytes, message: bytes) -> bool:
    try:
        KEY.public_key().verify(signature, message)
    except InvalidSignature:
        return False
    return True


@dataclass
class Tree:
    """HQ with the ship below it, which has joined HQ's lineage."""

    hq: Site
    ship: Site
    grant: Granted
    folder: Path

    def __post_init__(self) -> None:
        here = self.ship.here
        self.parent = ParentCatalog(
            decisions=here.storage, reading=here.storage, publisher=here.catalog, clock=here.clock
        )
        self.fleets = {
            one.name: Fleet(one.here.storage, one.here.catalog, one.here.clock, patience_s=10)
            for one in (self.hq, self.ship)
        }
        self.child = ChildSite(
            site="ship", blocks=frozenset({self.grant.clients}), verify=is_of_ship
        )
        self.telling = Telling(site="ship", epoch="one", sign=KEY.sign)

    async def carried(self) -> tuple[ManifestV1, list[UpdatesV1]]:
        """Return what a file from HQ tells on the ship, where HQ's root is pinned."""
        file = self.folder / "catalog.ptc"
        code, said = await self.hq.ask(f"export {file}")
        assert code == 0, said
        return read(file)

    async def take(self) -> frozenset[str]:
        manifest, parts = await self.carried()
        return await self.parent.take(manifest, parts)

    async def machines(self, where: Site, count: int, *, first: int) -> list[Client]:
        def work(tx: Transaction) -> list[Client]:
            tx.note("fleet", count=count)
            some = (a_machine(n, site=where.name) for n in range(first, first + count))
            return [tx.add_client(one, now=START) for one in some]

        return await where.here.storage.decide("admin", "enrol", work, now=START)

    async def report(self, where: Site, client: Client, counter: int, **said: object) -> None:
        lineage = bytes(where.here.catalog.lineage())
        scan = a_scan(client.number, counter, lineage=lineage, **said)  # type: ignore[arg-type]
        await where.here.storage.accept([scan], now=START.timestamp())

    def population(self, where: Site) -> Population:
        return self.fleets[where.name].ask(View.population)

    def told(self) -> dict[Place, BitMap]:
        population = self.population(self.ship)
        return containers_of(population, serial_above=self.parent.serial_above)

    def tell(self) -> bytes:
        return self.telling.next(self.told(), lineage=self.known().lineage)

    def known(self) -> Known:
        catalog, storage = self.hq.here.catalog, self.hq.here.storage
        serials = catalog.serials()
        leaves = (x for name, n in serials.items() for x in storage.leaves(name, at=n))
        return Known(
            lineage=bytes(catalog.lineage()),
            numbers=frozenset(leaf.number for leaf in leaves),
            serials=serials,
        )

    def tallies(self) -> dict[str, tuple[Tally, Tally, Tally]]:
        """Return what HQ counts of all machines, and what each site counts of its own."""
        own = containers_of(self.population(self.hq), serial_above=lambda _, serial: serial)
        ground = together([own, self.child.containers]).ground()
        above = self.fleets["hq"].ask(lambda view: dict(view.updates))
        return {
            update.title: (ground.tally(update.leaves), self.on("hq", key), self.on("ship", key))
            for key, update in above.items()
        }

    def on(self, name: str, key: object) -> Tally:
        return self.fleets[name].ask(lambda v: v.tally_of(v.updates[key]))  # type: ignore[index]


def read(file: Path) -> tuple[ManifestV1, list[UpdatesV1]]:
    with file.open("rb") as source:
        _, told = read_head(source.read)
        manifest = read_manifest(told)
        parts = [p for p in manifest.parts if p.kind == "updates"]
        return manifest, [read_updates(source.read(p.size_bytes), p) for p in parts]


def summed(own: Tally, below: Tally) -> Tally:
    return Tally(
        required=own.required + below.required,
        installed=own.installed + below.installed,
        not_required=own.not_required + below.not_required,
        unknown=own.unknown + below.unknown,
    )


@pytest.fixture(params=["sqlite", "postgres"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    if request.param == "sqlite":
        yield lambda name: sqlite_url(tmp_path / f"{name}.db")
        return
    server: Postgres = request.getfixturevalue("postgres_server")
    with ExitStack() as borrowed:
        yield lambda _: borrowed.enter_context(server.lent())


@pytest.fixture
async def tree(new_url: Callable[[str], str], tmp_path: Path) -> AsyncIterator[Tree]:
    async with (
        site(new_url("hq"), tmp_path / "hq", "hq", feed=True) as hq,
        site(new_url("ship"), tmp_path / "ship", "ship") as ship,
    ):
        await hq.synchronise(*updates(openssl="2", curl="3"))
        storage, other = hq.here.storage, ship.here.storage
        grant = await storage.decide("maria", "grant", lambda tx: granted(tx, "ship"), now=START)
        await other.decide(
            "maria", "join", lambda tx: join(tx, grant, site="ship", shards=()), now=START
        )
        yield Tree(hq, ship, grant, tmp_path)


async def test_shards_come_with_their_numbers_and_to_the_same_signed_digest(tree: Tree) -> None:
    changed = await tree.take()
    again = await tree.take()
    above, below = (x.here.index(SHARD) for x in (tree.hq, tree.ship))

    assert (changed, again) == ({SHARD}, frozenset())
    assert above.lineage == below.lineage and above.digest == below.digest
    assert tree.ship.titles() == tree.hq.titles() == ["curl 3", "openssl 2"]


async def test_both_sites_count_the_same_and_their_sums_are_the_parents(tree: Tree) -> None:
    await tree.take()
    mine = await tree.machines(tree.hq, 3, first=0)
    theirs = await tree.machines(tree.ship, 4, first=10)
    first, second = sorted(tree.known().numbers)
    await tree.report(tree.hq, mine[0], 1, required=[first])
    await tree.report(tree.hq, mine[1], 1, installed=[first], required=[second])
    await tree.report(tree.ship, theirs[0], 1, required=[first, second])
    await tree.report(tree.ship, theirs[1], 1, installed=[first], unknown=[second])
    # HQ publishes twice before the next file: the ship takes both at once.
    await tree.hq.synchronise(*updates(openssl="4", curl="3"))
    await tree.hq.synchronise(*updates(openssl="4", curl="3", nginx="1"))
    await tree.take()
    *_, newest = sorted(tree.known().numbers)
    await tree.report(tree.hq, mine[2], 1, serial=3, required=[newest])
    await tree.report(tree.ship, theirs[2], 1, serial=2, installed=[newest], required=[second])
    whole = tree.tell()
    tree.child.take(whole, tree.known())
    one = tree.tallies()
    await tree.report(tree.ship, theirs[3], 1, serial=2, required=[newest])
    part = tree.tell()
    tree.child.take(part, tree.known())
    two = tree.tallies()

    assert tree.hq.here.catalog.serials() == {SHARD: 3}
    assert tree.ship.here.catalog.serials() == {SHARD: 2}
    for counted in (one, two):
        assert set(counted) == {"curl 3", "openssl 4", "nginx 1"}
        assert all(total == summed(own, below) for total, own, below in counted.values())
    assert two["nginx 1"][0] == Tally(required=2, installed=1, unknown=4)
    assert two["curl 3"][0].unknown < 7 and len(part) < len(whole)


async def test_no_number_is_given_out_twice_in_a_tree(tree: Tree) -> None:
    await tree.take()
    mine = await tree.machines(tree.hq, 2, first=0)
    theirs = await tree.machines(tree.ship, 2, first=10)
    [own] = await tree.ship.here.publish("custom", a_leaf("tool"))
    [other] = await tree.hq.here.publish("custom", a_leaf("other-tool"))

    assert own // 65_536 == tree.grant.updates // 65_536 and own not in tree.known().numbers
    assert other // 65_536 != own // 65_536
    assert {x.number // 65_536 for x in mine}.isdisjoint({x.number // 65_536 for x in theirs})


async def test_a_site_with_numbers_of_its_own_joins_nobody(tree: Tree) -> None:
    grant = tree.grant

    def work(tx: Transaction) -> None:
        join(tx, grant, site="hq", shards=())

    with pytest.raises(WrongState, match="keeps them for ever"):
        await tree.hq.here.storage.decide("maria", "join", work, now=START)


async def test_an_older_catalog_of_the_parent_is_refused(tree: Tree) -> None:
    old = await tree.carried()
    await tree.hq.synchronise(*updates(openssl="4", curl="3"))
    await tree.take()

    with pytest.raises(ParentWentBack):
        await tree.parent.take(*old)
    assert tree.ship.titles() == ["curl 3", "openssl 4"]


async def test_a_catalog_of_another_lineage_brings_no_numbers(
    tree: Tree, new_url: Callable[[str], str], tmp_path: Path
) -> None:
    async with site(new_url("x"), tmp_path / "x", "x", feed=True) as stranger:
        await stranger.synchronise(*updates(openssl="9"))
        await stranger.ask(f"export {tmp_path / 'x.ptc'}")

    with pytest.raises(WrongShard):
        await tree.parent.take(*read(tmp_path / "x.ptc"))


async def test_what_a_child_signs_is_nobodys_catalog(tree: Tree, tmp_path: Path) -> None:
    await tree.take()
    forged = tmp_path / "forged.ptc"
    await tree.ship.ask(f"export {forged}")
    with forged.open("rb") as file:
        voucher, manifest = read_head(file.read)
    root = Voucher(tree.hq.here.folder / "published", tree.hq.keys).root_digest()

    with pytest.raises(ExporterUnknown):
        verified(voucher, manifest, pins={"hq": Pin(root=root)}, now=START)


def _of(tree: Tree, *containers: ContainerV1, **changed: object) -> bytes:
    said = {
        "site": "ship", "lineage": tree.known().lineage, "epoch": "one", "sequence": 2,
        "containers": containers, **changed,
    }  # fmt: skip
    return pack_states(SiteStatesV1(**said), KEY.sign)  # type: ignore[arg-type]


Forged = Callable[[Tree], bytes]
EVIL: dict[str, tuple[Forged, type[PatchtideError]]] = {
    "machines of another site": (
        lambda t: _of(t, ContainerV1("member", "", 0, t.grant.clients + 65_536, b"\x05")),
        SiteOverstepped,
    ),
    "machines beyond its block": (
        lambda t: _of(t, ContainerV1("member", "", 0, t.grant.clients, b"\xff\xff\x7f")),
        InvalidDocument,
    ),
    "an update that nobody published": (
        lambda t: _of(t, ContainerV1("required", "", 9999, t.grant.clients, b"\x05")),
        SiteOverstepped,
    ),
    "a serial that was never published": (
        lambda t: _of(t, ContainerV1("evaluated", SHARD, 99, t.grant.clients, b"\x05")),
        SiteOverstepped,
    ),
    "numbers of another lineage": (
        lambda t: _of(
            t, ContainerV1("member", "", 0, t.grant.clients, b"\x05"), lineage=bytes(16)
        ),
        SiteOverstepped,
    ),
    "another site's name": (lambda t: _of(t, site="hq"), SiteOverstepped),
    "what it told before": (lambda t: _of(t, sequence=1), SiteWentBack),
    "more than follows": (lambda t: _of(t, sequence=7), CursorLost),
    "a key of its own making": (
        lambda t: bytes(64) + _of(t, sequence=2)[64:], SiteNotSigned,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("forged", "why"), EVIL.values(), ids=EVIL)
async def test_an_evil_site_speaks_for_nobody_else(
    tree: Tree, forged: Forged, why: type[PatchtideError]
) -> None:
    await tree.take()
    [client] = await tree.machines(tree.ship, 1, first=10)
    await tree.report(tree.ship, client, 1, required=sorted(tree.known().numbers))
    tree.child.take(tree.tell(), tree.known())
    before = dict(tree.child.containers)

    with pytest.raises(why):
        tree.child.take(forged(tree), tree.known())
    assert tree.child.containers == before and tree.child.sequence == 1


async def test_after_a_restore_all_is_told_anew_and_the_former_epoch_is_over(tree: Tree) -> None:
    await tree.take()
    [client] = await tree.machines(tree.ship, 1, first=10)
    first, second = sorted(tree.known().numbers)
    await tree.report(tree.ship, client, 1, required=[first])
    replayed = tree.tell()
    tree.child.take(replayed, tree.known())
    await tree.report(tree.ship, client, 2, required=[second])
    tree.telling = Telling(site="ship", epoch="two", sign=KEY.sign)
    tree.child.take(tree.tell(), tree.known())

    assert tree.child.containers == tree.told()
    with pytest.raises(SiteWentBack, match="epoch that has ended"):
        tree.child.take(replayed, tree.known())
