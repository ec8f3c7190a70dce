"""From suites to updates: which packages are fixes, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from patchtide.adapters.feeds.apt_packages import IndexedPackage
from patchtide.adapters.feeds.apt_release import Release, SuiteKind
from patchtide.adapters.feeds.apt_updates import (
    Index,
    Platform,
    platform_of,
    updates_of,
)
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.facts import Facts, by_name
from patchtide.domain.applicability.scan import evaluate_shard
from patchtide.domain.catalog.details import Classification, FeedUpdate
from patchtide.domain.catalog.rules import PackageFormat
from patchtide.domain.catalog.updates import Restart

BOOKWORM = Platform(os_id="debian", version="12")


def a_release(kind: SuiteKind, *, origin: str = "Debian", version: str = "12") -> Release:
    return Release(
        origin=origin, label="Debian-Security" if kind is SuiteKind.SECURITY else origin,
        codename="bookworm", suite=f"bookworm-{kind.value}", version=version, kind=kind,
        date=datetime(2026, 7, 11, tzinfo=UTC), valid_until=None, indices={},
    )  # fmt: skip


def a_package(name: str, version: str, *, source: str = "toy") -> IndexedPackage:
    return IndexedPackage(
        name=name, version=version, architecture="amd64", source=source, source_version=version,
        summary=f"{name} for tests", path="pool/x.deb", sha256=bytes(32), size_bytes=1,
    )  # fmt: skip


def an_index(
    kind: SuiteKind, *packages: IndexedPackage, architecture: str = "amd64"
) -> Index:  # fmt: skip
    return Index(release=a_release(kind), architecture=architecture, packages=packages)


def offered(*indices: Index, released: Sequence[tuple[str, str]] = ()) -> list[FeedUpdate]:
    release = an_index(SuiteKind.RELEASE, *(a_package(*each) for each in released))
    return list(updates_of([*indices, release], BOOKWORM))


SECURITY, UPDATES = SuiteKind.SECURITY, SuiteKind.UPDATES
NEWEST = {
    "newer than the release": ([("a", "2")], [], [("a", "1")], ["bookworm-security/toy/2"]),
    "only in the security suite": ([("a", "2")], [], [], ["bookworm-security/toy/2"]),
    "taken over by the release": ([("a", "2")], [], [("a", "2")], ["bookworm-security/toy/2"]),
    "passed by the release": ([("a", "2")], [], [("a", "3")], ["bookworm-security/toy/2"]),
    "passed by the updates": ([("a", "2")], [("a", "3")], [], ["bookworm-updates/toy/3"]),
    "the same in both": ([("a", "2")], [("a", "2")], [], ["bookworm-security/toy/2"]),
    "two versions in one suite": ([("a", "2"), ("a", "3")], [], [], ["bookworm-security/toy/3"]),
    "in the order of versions": ([("a", "10~rc1")], [], [("a", "9")],
                                 ["bookworm-security/toy/10~rc1"]),
}  # fmt: skip
Versions = list[tuple[str, str]]


@pytest.mark.parametrize(
    ("security", "updates", "released", "expected"), NEWEST.values(), ids=NEWEST
)
def test_a_fix_is_the_newest_that_is_offered(
    security: Versions, updates: Versions, released: Versions, expected: list[str]
) -> None:
    found = offered(
        an_index(SECURITY, *(a_package(*each) for each in security)),
        an_index(UPDATES, *(a_package(*each) for each in updates)),
        released=released,
    )

    assert [u.details.vendor_id.removeprefix("debian/") for u in found] == expected


def test_an_update_has_a_leaf_for_every_architecture() -> None:
    (update,) = offered(
        an_index(SECURITY, a_package("a", "2")),
        an_index(SECURITY, a_package("a", "2"), architecture="arm64"),
    )

    assert len({leaf.prerequisite for leaf in update.leaves}) == 2
    assert {leaf.update for leaf in update.leaves} == {update.details.update}


def test_what_holds_for_all_architectures_holds_for_each_that_there_is() -> None:
    everywhere = an_index(SECURITY, a_package("b", "2"), architecture="all")
    (beside,) = offered(an_index(SECURITY, a_package("a", "2")), everywhere)
    (alone,) = offered(everywhere)

    assert [f.name for f in beside.leaves[0].files] == ["a", "b"]
    for update in (beside, alone):
        assert states(update, [("b", "1", "all")]) == [LeafState.REQUIRED]


def test_only_the_security_suite_makes_security_updates() -> None:
    found = offered(
        an_index(SECURITY, a_package("a", "2", source="one")),
        an_index(UPDATES, a_package("b", "2", source="two")),
    )

    assert {u.details.title: u.details.classification for u in found} == {
        "one 2": Classification.SECURITY, "two 2": Classification.GENERAL,
    }  # fmt: skip


def test_a_fix_that_the_updates_have_passed_comes_with_them_as_a_security_update() -> None:
    (update,) = offered(
        an_index(SECURITY, a_package("a", "2")), an_index(UPDATES, a_package("a", "3"))
    )

    assert update.details.vendor_id.endswith("bookworm-updates/toy/3")
    assert update.details.classification is Classification.SECURITY


PASSED = {"1": LeafState.REQUIRED, "2": LeafState.INSTALLED, "3": LeafState.INSTALLED}


@pytest.mark.parametrize(("version", "state"), PASSED.items(), ids=PASSED)
def test_a_fix_that_the_release_has_passed_is_missed_only_by_who_lacks_it(
    version: str, state: LeafState
) -> None:
    (update,) = offered(an_index(SECURITY, a_package("a", "2")), released=[("a", "3")])

    assert states(update, [("a", version, "amd64")]) == [state]


STATES = {
    "not installed": ([], LeafState.NOT_REQUIRED),
    "all older": ([("a", "1", "amd64"), ("b", "1", "amd64")], LeafState.REQUIRED),
    "one older": ([("a", "2", "amd64"), ("b", "1", "amd64")], LeafState.REQUIRED),
    "one there and new": ([("b", "2", "amd64")], LeafState.INSTALLED),
    "newer than the fix": ([("b", "3", "amd64")], LeafState.INSTALLED),
    "older of another architecture": (
        [("a", "2", "amd64"), ("a", "1", "i386")],
        LeafState.REQUIRED,
    ),
}


@pytest.mark.parametrize(("rows", "state"), STATES.values(), ids=STATES)
def test_what_a_machine_makes_of_it(rows: list[tuple[str, str, str]], state: LeafState) -> None:
    (update,) = offered(an_index(SECURITY, a_package("a", "2"), a_package("b", "2")))

    assert states(update, rows) == [state]


def states(update: FeedUpdate, rows: list[tuple[str, str, str]]) -> list[LeafState]:
    facts = Facts(
        os_id="debian", os_version="12", architecture="amd64",
        packages={PackageFormat.DEB: by_name(rows)},
    )  # fmt: skip
    return list(evaluate_shard(update.leaves, facts).states.values())


def test_a_kernel_needs_a_restart_and_a_toy_does_not() -> None:
    found = offered(
        an_index(
            SECURITY,
            a_package("linux-image-6.1.0-40-amd64", "2", source="linux"),
            a_package("libc6", "2", source="glibc"),
            a_package("a", "2"),
        )
    )

    assert {u.details.title: u.leaves[0].restart for u in found} == {
        "linux 2": Restart.ALWAYS, "glibc 2": Restart.MAY, "toy 2": Restart.NEVER,
    }  # fmt: skip


def test_a_point_release_is_no_release_of_its_own() -> None:
    found = platform_of([a_release(SuiteKind.RELEASE, version="12.15")])

    assert found == BOOKWORM and found.shard == "debian-12"


@pytest.mark.parametrize(
    ("origin", "version", "shard"),
    [
        ("Debian", "12/1", "debian-12-1"),
        ("../Debian", "../12", "debian-12"),
        (".", "1" * 99, f"unnamed-{'1' * 30}"),
    ],
)
def test_a_shards_name_is_no_path_whatever_the_vendor_says(
    origin: str, version: str, shard: str
) -> None:
    found = platform_of([a_release(SECURITY, origin=origin, version=version)])

    assert found is not None and found.shard == shard


def test_ubuntus_releases_have_two_numbers() -> None:
    found = platform_of([a_release(SECURITY, origin="Ubuntu", version="22.04")])

    assert found is not None and found.shard == "ubuntu-22.04"
