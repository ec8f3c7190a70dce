"""A published catalog and machines that report on it, straight into a storage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from patchtide.adapters.storage import Storage
from patchtide.domain.catalog.details import (
    Classification,
    FixedPackage,
    Severity,
    UpdateDetails,
)
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import (
    And,
    Comparison,
    Not,
    OperatingSystem,
    PackageFormat,
    PackageInstalled,
)
from patchtide.domain.catalog.updates import (
    LeafFile,
    Origin,
    Revision,
    UpdateId,
    UpdateNumber,
    update_id,
)
from patchtide.server.ports.catalog import StoredLeaf
from patchtide.server.ports.catalog_status import PublishedShard
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.reports import IncomingReport
from patchtide.wire.leaves import encode_leaf
from patchtide.wire.sets import encode_set, state_digest
from tests.simulator.reports import LINEAGE, NOON

SHARD = "debian-12"


def an_update_id(name: str) -> UpdateId:
    return update_id("apt", f"debian/{name}")


def a_leaf(number: int, name: str, version: str = "2.0-1", *, revision: int = 1) -> Leaf:
    present = PackageInstalled(PackageFormat.DEB, name)
    older = PackageInstalled(PackageFormat.DEB, name, Comparison.LESS, version)
    return Leaf(
        number=UpdateNumber(number),
        revision=Revision(revision),
        update=an_update_id(name),
        title=f"{name} {version}",
        prerequisite=OperatingSystem("debian", ("12",)),
        applicable=present,
        installed=And((present, Not(older))),
        files=(LeafFile(name=name, version=version, sha256=bytes(32), size_bytes=1_000),),
        origin=Origin("feed:debian-security"),
    )


def some_details(
    name: str,
    version: str = "2.0-1",
    *,
    severity: Severity = Severity.NONE,
    cves: tuple[str, ...] | None = (),
    released: datetime | None = NOON,
) -> UpdateDetails:
    return UpdateDetails(
        update=an_update_id(name),
        vendor_id=f"debian/bookworm-security/{name}/{version}",
        title=f"{name} {version}",
        description=f"{name}: what it is",
        feed="debian-security",
        vendor="Debian",
        product="Debian 12",
        classification=Classification.SECURITY,
        severity=severity,
        cves=cves,
        packages=(FixedPackage(name, version, "amd64"),),
        released=released,
    )


@dataclass
class Catalog:
    """What is published, as the fleet asks for it; change it and it is."""

    storage: Storage
    serial: int = 0
    held: set[int] = field(default_factory=set)
    others: Sequence[str] = ()
    """Shards of other platforms that are published too, with nothing in them."""

    def lineage(self) -> bytes:
        return LINEAGE

    def shards(self) -> Sequence[PublishedShard]:
        if not self.serial:
            return []
        at = NOON.timestamp()
        return [
            PublishedShard(name=SHARD, serial=self.serial, leaves=len(self.held), published_at=at),
            *(PublishedShard(name=n, serial=1, leaves=0, published_at=at) for n in self.others),
        ]

    async def publish(
        self,
        leaves: Iterable[Leaf],
        *,
        drops: Sequence[int] = (),
        details: Sequence[UpdateDetails] = (),
    ) -> None:
        serial = self.serial + 1
        stored = [
            StoredLeaf(
                number=leaf.number,
                revision=leaf.revision,
                update=leaf.update.bytes,
                document=encode_leaf(leaf).body,
                entered_serial=serial,
            )
            for leaf in leaves
        ]
        self.held = (self.held | {leaf.number for leaf in stored}) - set(drops)

        def work(tx: Transaction) -> None:
            tx.put_leaves(SHARD, serial, upserts=stored, drops=drops)
            tx.put_update_details(details)
            tx.note(SHARD, serial=serial)

        await self.storage.decide("system", "catalog.publish", work, now=NOON)
        self.serial = serial


def a_scan(
    client: int,
    counter: int,
    *,
    serial: int = 1,
    required: Iterable[int] = (),
    installed: Iterable[int] = (),
    unknown: Iterable[int] = (),
    scan: str = "completed",
    shard: str = SHARD,
    lineage: bytes = LINEAGE,
    events: bytes = b"",
) -> IncomingReport:
    """A full report of a machine that evaluated that serial of the shard."""
    sets = [encode_set(required), encode_set(installed), encode_set(unknown)]
    return IncomingReport(
        client=client,
        counter=counter,
        lineage=lineage,
        digest=state_digest(lineage=lineage, required=sets[0], installed=sets[1], unknown=sets[2]),
        base=None,
        required=sets[0],
        installed=sets[1],
        unknown=sets[2],
        gone=b"",
        has_states=True,
        shards=msgspec.msgpack.encode({shard: serial} if serial else {}),
        boot_id="boot",
        scan=scan,
        scanned_at=int(NOON.timestamp()),
        scan_error="no space" if scan == "failed" else "",
        restored=False,
        aged_catalog=False,
        events=events,
    )
