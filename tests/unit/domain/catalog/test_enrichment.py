"""What others say of an update fills what its vendor left empty, and never touches a rule."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.catalog.details import (
    Classification,
    FeedUpdate,
    FixedPackage,
    Severity,
    UpdateDetails,
)
from patchtide.domain.catalog.enrichment import Advice, Fix, enriched
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import Always
from patchtide.domain.catalog.synchronisation import FIRST, UNNUMBERED
from patchtide.domain.catalog.updates import Origin, update_id

SHARD = "debian-12"
LEAF = Leaf(
    number=UNNUMBERED, revision=FIRST, update=update_id("apt", "x"), prerequisite=Always(),
    applicable=Always(), installed=Always(), origin=Origin("feed:x"),
)  # fmt: skip


def an_update(**changes: object) -> FeedUpdate:
    details = UpdateDetails(
        update=update_id("apt", "x"), vendor_id="debian/bookworm-security/toy/1.0-1", title="toy",
        feed="debian-security", vendor="Debian", product="Debian 12",
        classification=Classification.SECURITY,
        packages=(FixedPackage("libtoy1", "1.0-1", "amd64"),),
    )  # fmt: skip
    return FeedUpdate(details=replace(details, **changes), leaves=(LEAF,))


def joined(update: FeedUpdate, *advices: Advice) -> UpdateDetails:
    (found,) = enriched({SHARD: [update]}, advices).shards[SHARD]
    assert found.leaves is update.leaves
    return found.details


def advice(*ids: str, fix: Fix | None = None, **more: object) -> Advice:
    return replace(Advice(ids=frozenset(ids)), fixes=frozenset({fix} if fix else ()), **more)


CVE = frozenset({"CVE-2026-10001"})


def test_an_advisory_of_the_same_name_is_joined() -> None:
    update = an_update(advisories=("RHSA-2026:1",))
    said = advice("RHSA-2026:1", cves=CVE, severity=Severity.LOW, text="Words.")

    found = joined(update, said)

    assert (found.cves, found.severity, found.description) == (tuple(CVE), Severity.LOW, "Words.")


def test_an_advisory_that_names_the_fixed_package_gives_the_update_its_name() -> None:
    for name in ("toy", "libtoy1"):  # the source, or what is built from it
        found = joined(an_update(), advice("DSA-1-1", fix=Fix(SHARD, name, "1.0-1"), cves=CVE))

        assert (found.advisories, found.cves) == (("DSA-1-1",), tuple(CVE))


def test_what_is_of_another_version_system_or_vulnerability_is_not_joined() -> None:
    update = an_update(cves=("CVE-2026-10002",))
    others = [
        advice("DSA-1-1", fix=Fix(SHARD, "toy", "1.0-2"), text="no"),
        advice("DSA-2-1", fix=Fix("debian-13", "toy", "1.0-1"), text="no"),
        advice("CVE-2026-10001", text="no"),
        advice("DSA-3-1", cves=frozenset({"CVE-2026-10002"}), text="no"),
    ]

    assert joined(update, *others) == update.details
    assert enriched({SHARD: [update]}, others).joined == 0


def test_a_vulnerability_tells_its_severity_to_all_that_mend_it() -> None:
    update = an_update(cves=("CVE-2026-10001", "CVE-2026-10002"))
    said = advice("CVE-2026-10001", severity=Severity.CRITICAL, text="A hole.")

    found = joined(update, said, advice("CVE-2026-10002", severity=Severity.LOW))

    assert (found.severity, found.description) == (Severity.CRITICAL, "A hole.")
    assert found.cves == update.details.cves and found.advisories == ()


def test_the_vendors_own_word_is_kept() -> None:
    update = an_update(severity=Severity.LOW, description="Ours.", advisories=("A",), cves=())

    found = joined(update, advice("A", severity=Severity.CRITICAL, text="Theirs.", cves=CVE))

    assert found.severity is Severity.LOW
    assert found.description == "Ours.\n\nTheirs." and found.cves == tuple(CVE)


texts = st.sampled_from(["", "One.", "Two.", "One. Two."])
cves = st.frozensets(st.sampled_from(["CVE-2026-10001", "CVE-2026-10002"]))
advices = st.builds(
    Advice,
    ids=st.frozensets(st.sampled_from(["A", "B", "CVE-2026-10001"]), min_size=1),
    cves=cves,
    severity=st.sampled_from(Severity),
    text=texts,
    fixes=st.frozensets(st.sampled_from([Fix(SHARD, "toy", "1.0-1"), Fix(SHARD, "x", "1")])),
)
updates = st.builds(
    an_update,
    advisories=st.sampled_from([(), ("A",)]),
    cves=st.none() | cves.map(lambda some: tuple(sorted(some))),
    severity=st.sampled_from(Severity),
    description=texts,
)


@given(updates, st.lists(advices, max_size=5), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_what_was_known_stays(
    update: FeedUpdate, said: list[Advice], dice: object
) -> None:
    found = joined(update, *said)
    dice.shuffle(said)  # type: ignore[attr-defined]

    assert joined(update, *said, *said) == found
    assert found.description.startswith(update.details.description)
    assert {*(update.details.cves or ())} <= {*(found.cves or ())}
    assert update.details.severity in (Severity.NONE, found.severity)
