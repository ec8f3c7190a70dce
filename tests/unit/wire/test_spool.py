"""A feed's file loses nothing of what a feed knows of an update."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta

from patchtide.domain.catalog.details import FeedUpdate, FileSource, Severity, UpdateDetails
from patchtide.wire.spool import pack_spool, unpack_spool
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


def through(details: UpdateDetails) -> UpdateDetails:
    update = FeedUpdate(details=details, leaves=(replace(a_leaf(1, "toy"), number=0),))  # type: ignore[arg-type]
    packed = pack_spool({"debian-12": [update]}, as_of={}, stamp=b"")
    _, shards = unpack_spool(packed)
    [found] = shards["debian-12"]
    return found.details


def test_everything_a_feed_knows_of_an_update_arrives() -> None:
    untold = [f.name for f in fields(FULL) if getattr(FULL, f.name) == f.default]

    assert untold == ["revision"]
    assert (through(FULL), through(BARE)) == (FULL, BARE)
