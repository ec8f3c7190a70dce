"""A feed's file loses nothing of what a feed knows of an update."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace as replace_struct

from patchtide.domain.catalog.details import FeedUpdate, FileSource, Severity, UpdateDetails
from patchtide.domain.catalog.installers import Installer, InstallerKind
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import InstalledLeaf
from patchtide.domain.catalog.updates import Origin, UpdateNumber
from patchtide.domain.errors import InvalidDocument
from patchtide.wire import spool as spool_module
from patchtide.wire.messages import encode
from patchtide.wire.spool import DetailsV1, FeedUpdateV1, FixedV1, SpoolV1, pack_spool, unpack_spool
from tests.simulator.catalogs import a_leaf, an_update_id, some_details
from tests.simulator.reports import NOON

BARE = some_details("toy")
FULL = replace(
    some_details("toy", cves=("CVE-2026-1",), severity=Severity.LOW),
    revised=NOON + timedelta(days=1),
    advisories=("DSA-1-1", "KB1"),
    also_for=("Debian 13",),
    languages=("de", "pt-BR"),
    architectures=("amd64",),
    supersedes=(an_update_id("old"),),
    members=(an_update_id("part"),),
    max_run_time=timedelta(minutes=5),
    can_uninstall=True,
    licence="Be good.",
    sources=(FileSource(bytes(32), "https://example.org/toy.deb"),),
    expired_at=NOON + timedelta(days=2),
)


A_DETAIL = DetailsV1(
    update=bytes(16),
    vendor_id="v",
    title="t",
    feed="apt",
    vendor="v",
    product="p",
    classification="security",
)


def spool(**said: Any) -> bytes:
    return encode(SpoolV1(**{"shards": {}, "as_of": {}, "stamp": b"", **said}))


def through(details: UpdateDetails) -> UpdateDetails:
    update = FeedUpdate(details=details, leaves=(replace(a_leaf(1, "toy"), number=0),))  # type: ignore[arg-type]
    packed = pack_spool({"debian-12": [update]}, as_of={}, stamp=b"")
    _, shards = unpack_spool(packed)
    [found] = shards["debian-12"]
    return found.details


BEYOND = {
    "shards": spool(shards={f"s{n}": () for n in range(1_001)}),
    "times": spool(as_of={f"s{n}": NOON for n in range(10_001)}),
    "leaves": spool(shards={"s": (FeedUpdateV1(A_DETAIL, (b"",) * 101),)}),
    "a leaf's bytes": spool(shards={"s": (FeedUpdateV1(A_DETAIL, (bytes((2 << 20) + 1),)),)}),
}


def tracked(*shards: Sequence[FeedUpdateV1]) -> tuple[int, str]:
    """Return how many bytes it took to refuse them, and why."""
    data = spool(shards={f"s{n}": shard for n, shard in enumerate(shards)})
    tracemalloc.start()
    with pytest.raises(InvalidDocument) as refused:
        unpack_spool(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak, str(refused.value)


def test_the_bounds_hold_for_all_updates_together_and_for_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spool_module, "MAX_THINGS", 30_000)
    monkeypatch.setattr(spool_module, "MAX_UPDATES", 1_000)
    of_empty = replace_struct(A_DETAIL, packages=(FixedV1("", "", ""),) * 10_000)
    many = [FeedUpdateV1(of_empty, ())] * 100

    for shards in ((many,), (many[:2], many[:2]), ([FeedUpdateV1(A_DETAIL, ())] * 501,) * 2):
        peak, why = tracked(*shards)
        assert "packages, sources" in why
        assert peak < 15 << 20


@pytest.mark.parametrize("data", BEYOND.values(), ids=BEYOND)
def test_more_than_a_feed_can_mean_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidDocument, match=r"Expected .* of length <= "):
        unpack_spool(data)


def test_everything_a_feed_knows_of_an_update_arrives() -> None:
    untold = [f.name for f in fields(FULL) if getattr(FULL, f.name) == f.default]

    assert untold == ["revision"]
    assert (through(FULL), through(BARE)) == (FULL, BARE)


A_LEAF = replace(a_leaf(1, "toy"), number=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("update", "why"),
    [
        ((BARE, replace(A_LEAF, update=an_update_id("other"))), "of another update"),
        ((BARE, replace(A_LEAF, origin=Origin("publisher"))), "others than a feed"),
        ((replace(BARE, feed="publisher"), A_LEAF), "others than a feed"),
        ((BARE, replace(A_LEAF, installer=Installer(kind=InstallerKind.DEB))), "installer"),
        ((BARE, replace(A_LEAF, installed=InstalledLeaf(UpdateNumber(7)))), "numbers"),
    ],
)
def test_what_is_not_for_a_feed_to_tell_is_refused(
    update: tuple[UpdateDetails, Leaf], why: str
) -> None:
    details, leaf = update
    packed = pack_spool(
        {"debian-12": [FeedUpdate(details=details, leaves=(leaf,))]}, as_of={}, stamp=b""
    )

    with pytest.raises(InvalidDocument, match=why):
        unpack_spool(packed)
