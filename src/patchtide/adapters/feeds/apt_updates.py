"""From a vendor's suites to updates: pure, and the same for the same indices.

An update is one source package in one version in the security or the updates suite. It holds
those of its binary packages whose newest version in these suites is that one. Where both have the
same, the security suite has the word; a fix that the updates suite has moved past comes with what
is newer, which is a security update then.

What the release itself holds takes nothing away: a machine at its version is past the fix and
says so, and one that was left behind has to hear of the fix all the same.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from patchtide.adapters.feeds.apt_packages import IndexedPackage
from patchtide.adapters.feeds.apt_release import Release, SuiteKind
from patchtide.domain.catalog.details import (
    Classification,
    FeedUpdate,
    FixedPackage,
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
from patchtide.domain.catalog.synchronisation import FIRST, UNNUMBERED
from patchtide.domain.catalog.updates import LeafFile, Origin, PackageFloor, Restart, update_id
from patchtide.domain.catalog.versions_deb import deb_key

KIND = "apt"
ALL = "all"
"""An index may hold for every architecture; no machine is of that one."""
OFFERS = (SuiteKind.SECURITY, SuiteKind.UPDATES)
_NO_SLUG = re.compile(r"[^a-z0-9.]+")
_LONGEST = 30
_NEEDS_RESTART = ("linux-image-", "intel-microcode", "amd64-microcode")
_BETTER_RESTARTED = frozenset({"libc6", "systemd", "dbus", "udev"})

Newest = Mapping[tuple[str, str], str]
"""(index architecture, package) -> its newest version in any of the suites."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The release of an operating system that a vendor's suites are for."""

    os_id: str
    version: str

    @property
    def shard(self) -> str:
        return f"{self.os_id}-{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The packages that one suite offers to one architecture."""

    release: Release
    architecture: str
    packages: Sequence[IndexedPackage]
    uri: str = ""
    """Under which the packages' files lie."""


def slug(text: str) -> str:
    """Return a name that may be part of a shard's: it begins with a letter or a digit."""
    return _NO_SLUG.sub("-", text.lower()).strip("-.")[:_LONGEST] or "unnamed"


def platform_of(releases: Iterable[Release]) -> Platform | None:
    """Return what the suites of one vendor's release are for; None: none of them says.

    Debian counts its point releases (`12.15`, `12-updates`), os-release does not (`12`).
    """
    said = [release for release in releases if release.version]
    for release in sorted(said, key=lambda r: OFFERS.index(r.kind) if r.kind in OFFERS else 2):
        os_id = slug(release.origin)
        version = slug(release.version.partition("-")[0])
        return Platform(
            os_id=os_id, version=version.partition(".")[0] if os_id == "debian" else version
        )
    return None


def newest_of(indices: Iterable[Index]) -> Newest:
    found: dict[tuple[str, str], str] = {}
    for index in indices:
        for package in index.packages:
            key = (index.architecture, package.name)
            if key not in found or deb_key(found[key]) < deb_key(package.version):
                found[key] = package.version
    return found


def updates_of(indices: Sequence[Index], platform: Platform) -> Iterator[FeedUpdate]:
    """Yield the updates, each with one leaf for every architecture, in a stable order."""
    told = _for_machines([index for index in indices if index.release.kind in OFFERS])
    offers = sorted(told, key=_first_word)
    newest = newest_of(offers)
    fixed = newest_of(i for i in offers if i.release.kind is SuiteKind.SECURITY)
    security: set[str] = set()
    taken: set[tuple[str, str]] = set()
    grouped: dict[str, dict[str, list[IndexedPackage]]] = defaultdict(lambda: defaultdict(list))
    heads: dict[str, Release] = {}
    for index in offers:
        for package in index.packages:
            key = (index.architecture, package.name)
            if key in taken or newest[key] != package.version:
                continue
            taken.add(key)
            vendor_id = vendor_id_of(index.release, package)
            heads.setdefault(vendor_id, index.release)
            if key in fixed:
                security.add(vendor_id)
            grouped[vendor_id][index.architecture].append(package)
    for vendor_id in sorted(grouped):
        kind = Classification.SECURITY if vendor_id in security else Classification.GENERAL
        yield _update(vendor_id, heads[vendor_id], grouped[vendor_id], kind, platform=platform)


def _for_machines(indices: Sequence[Index]) -> Iterator[Index]:
    """Yield what holds for all architectures with each of those that there are, if any."""
    there = sorted({index.architecture for index in indices} - {ALL}) or [ALL]
    for index in indices:
        names = there if index.architecture == ALL else [index.architecture]
        yield from (replace(index, architecture=name) for name in names)


def _first_word(index: Index) -> tuple[int, str, str]:
    return OFFERS.index(index.release.kind), index.release.suite, index.architecture


def vendor_id_of(release: Release, package: IndexedPackage) -> str:
    suite = f"{release.codename}-{release.kind.value}"
    return f"{slug(release.origin)}/{suite}/{package.source}/{package.source_version}"


def _update(
    vendor_id: str,
    release: Release,
    by_architecture: Mapping[str, Sequence[IndexedPackage]],
    classification: Classification,
    *,
    platform: Platform,
) -> FeedUpdate:
    everything = [package for packages in by_architecture.values() for package in packages]
    head = everything[0]
    details = UpdateDetails(
        update=update_id(KIND, vendor_id),
        vendor_id=vendor_id,
        title=f"{head.source} {head.source_version}",
        description=_description(everything),
        feed=feed_of(release),
        vendor=release.origin,
        product=product_of(release, platform),
        classification=classification,
        packages=_fixed(everything),
        architectures=tuple(sorted(by_architecture)),
    )
    leaves = tuple(
        _leaf(details, architecture, packages, platform=platform)
        for architecture, packages in sorted(by_architecture.items())
    )
    return FeedUpdate(details=details, leaves=leaves)


def product_of(release: Release, platform: Platform) -> str:
    return f"{release.origin} {platform.version}"


def feed_of(release: Release) -> str:
    """Debian names its security archive by a label of its own; Ubuntu has one label for all."""
    name, kind = slug(release.label or release.origin), release.kind.value
    return name if name.endswith(kind) else f"{name}-{kind}"


def _description(packages: Iterable[IndexedPackage]) -> str:
    lines = {package.name: package.summary for package in packages}
    return "\n".join(f"{name}: {summary}" for name, summary in sorted(lines.items()))


def _fixed(packages: Iterable[IndexedPackage]) -> tuple[FixedPackage, ...]:
    found = {FixedPackage(p.name, p.version, p.architecture) for p in packages}
    return tuple(sorted(found, key=lambda f: (f.name, f.architecture)))


def _leaf(
    details: UpdateDetails,
    architecture: str,
    packages: Sequence[IndexedPackage],
    *,
    platform: Platform,
) -> Leaf:
    """A package in any architecture counts: dpkg keeps instances side by side at one version."""
    ordered = sorted(packages, key=lambda package: package.name)
    present = tuple(PackageInstalled(PackageFormat.DEB, p.name) for p in ordered)
    older = tuple(
        PackageInstalled(PackageFormat.DEB, p.name, Comparison.LESS, p.version) for p in ordered
    )
    machines = OperatingSystem(platform.os_id, (platform.version,))
    return Leaf(
        number=UNNUMBERED,
        revision=FIRST,
        update=details.update,
        title=details.title,
        prerequisite=machines
        if architecture == ALL
        else And((machines, Architecture((architecture,)))),
        applicable=Or(present),
        installed=Not(Or(older)),
        files=tuple(
            LeafFile(name=p.name, version=p.version, sha256=p.sha256, size_bytes=p.size_bytes)
            for p in ordered
        ),
        floors=tuple(PackageFloor(p.name, p.version) for p in ordered),
        origin=Origin(f"feed:{details.feed}"),
        restart=_restart([package.name for package in ordered]),
    )


def _restart(names: Iterable[str]) -> Restart:
    found = list(names)
    if any(name.startswith(_NEEDS_RESTART) for name in found):
        return Restart.ALWAYS
    return Restart.NEVER if _BETTER_RESTARTED.isdisjoint(found) else Restart.MAY
