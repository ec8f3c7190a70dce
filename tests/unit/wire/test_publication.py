"""What a publisher asks for: custom updates under his own name, and no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from patchtide.domain.catalog.custom import CustomUpdate, feed_update
from patchtide.domain.catalog.details import Classification, FeedUpdate, Severity
from patchtide.domain.catalog.installers import Installer, InstallerKind
from patchtide.domain.catalog.rules import PackageFormat, PackageInstalled
from patchtide.domain.catalog.updates import LeafFile, Origin, update_id
from patchtide.domain.errors import InvalidDocument
from patchtide.wire.publication import read_publication, write_publication

GOLDEN = Path(__file__).parents[2] / "golden" / "messages" / "publication1.hex"
HERE = PackageInstalled(PackageFormat.DEB, "acme-backup")
FILE = LeafFile(name="acme-backup", version="2.4", sha256=bytes(range(32)), size_bytes=10)
CUSTOM = CustomUpdate(
    id="acme/backup",
    title="Backup 2.4",
    description="Backups that end.",
    vendor="Acme",
    classification=Classification.SECURITY,
    severity=Severity.IMPORTANT,
    products=("Backup", "Suite"),
    languages=("de",),
    prerequisite=HERE,
    applicable=HERE,
    installed=HERE,
    installer=Installer(kind=InstallerKind.DEB),
    max_run_time=timedelta(minutes=5),
    files=(FILE, replace(FILE, sha256=bytes(32))),
    only_for=("amd64", "arm64"),
    licence="One each.",
    supersedes=(update_id("publisher", "acme/backup/1"),),
    cves=("CVE-2026-12345",),
)
UPDATE = feed_update(CUSTOM)
GONE = update_id("publisher", "acme/old")


def test_the_golden_publication_reads_and_writes_as_ever() -> None:
    golden = bytes.fromhex(GOLDEN.read_text())

    found = read_publication(golden)
    assert (found.updates, found.expired) == ((UPDATE,), (GONE,))
    assert write_publication([UPDATE], [GONE]) == golden


def test_the_order_in_which_definitions_are_read_makes_no_other_document() -> None:
    other = feed_update(replace(CUSTOM, id="acme/sensor"))

    assert write_publication([UPDATE, other]) == write_publication([other, UPDATE])


def with_leaf(**changes: object) -> FeedUpdate:
    leaf = replace(UPDATE.leaves[0], **changes)  # type: ignore[arg-type]
    return replace(UPDATE, leaves=(leaf,))


@pytest.mark.parametrize(
    ("update", "why"),
    [
        (with_leaf(origin=Origin("feed:debian-security")), "vouched for by 'feed:debian-security'"),
        (with_leaf(origin=Origin("agent")), "vouched for by 'agent'"),
        (with_leaf(update=GONE), "a leaf of another update"),
        (with_leaf(installer=None), "without an installer"),
    ],
)
def test_what_is_not_the_publishers_own_is_refused(update: FeedUpdate, why: str) -> None:
    with pytest.raises(InvalidDocument, match=why):
        read_publication(write_publication([update]))


def test_an_update_is_asked_for_once_and_not_taken_back_in_the_same_breath() -> None:
    with pytest.raises(InvalidDocument, match="is there twice"):
        read_publication(write_publication([UPDATE, UPDATE]))
    with pytest.raises(InvalidDocument, match="published and expired at once"):
        read_publication(write_publication([UPDATE], [UPDATE.details.update]))
