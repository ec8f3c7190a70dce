"""From a vendor's advisories to updates: pure, and the same for the same repositories.

An update is one advisory; its leaf for an architecture holds those of the advised packages that
the repositories of that architecture offer, at the fix or newer. A package needs its fix where it
is installed and no installed version of it has the fix: of those that are installed side by side
(kernels) the newest counts. What an advisory says of a module's stream concerns only the machines
that follow the stream.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from patchtide.adapters.feeds.rpm_advisories import AdvisedPackage, Advisory, Module
from patchtide.adapters.feeds.rpm_packages import OfferedPackage
from patchtide.adapters.feeds.rpm_sources import System
from patchtide.domain.catalog.details import (
    Classification,
    FeedUpdate,
    FileSource,
    FixedPackage,
    Severity,
    UpdateDetails,
)
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import (
    MAX_NODES,
    And,
    Architecture,
    Compared,
    Comparison,
    FactIs,
    ModuleStream,
    Not,
    OperatingSystem,
    Or,
    PackageFormat,
    PackageInstalled,
    Rule,
    nodes,
)
from patchtide.domain.catalog.selection import Selection, may_bring
from patchtide.domain.catalog.synchronisation import FIRST, UNNUMBERED
from patchtide.domain.catalog.updates import LeafFile, Origin, PackageFloor, Restart, update_id
from patchtide.domain.catalog.versions_rpm import rpm_key

KIND = "rpm"
MAX_FILES = 2_000
_MAX_TITLE = 250
_NO_SLUG = re.compile(r"[^a-z0-9.]+")
_BESIDE: Mapping[str, frozenset[str]] = {
    "x86_64": frozenset({"i386", "i486", "i586", "i686", "athlon", "x86_64_v2", "x86_64_v3"}),
    "aarch64": frozenset({"armv8l"}),
    "ppc64le": frozenset(),
    "s390x": frozenset({"s390"}),
    "i386": frozenset({"i486", "i586", "i686"}),
}
"""What a machine can install besides packages of its own architecture and of none."""
_CLASSES: Mapping[str, Classification] = {
    "security": Classification.SECURITY,
    "enhancement": Classification.FEATURE_PACK,
    "newpackage": Classification.FEATURE_PACK,
    "bugfix": Classification.GENERAL,
    "recommended": Classification.GENERAL,
    "optional": Classification.GENERAL,
    "feature": Classification.FEATURE_PACK,
}
SEVERITIES: Mapping[str, Severity] = {
    "critical": Severity.CRITICAL,
    "important": Severity.IMPORTANT,
    "high": Severity.IMPORTANT,
    "moderate": Severity.MODERATE,
    "medium": Severity.MODERATE,
    "low": Severity.LOW,
}
"""By Red Hat's words and by those that others use for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """What one repository holds for one architecture."""

    architecture: str
    advisories: Sequence[Advisory]
    packages: Sequence[OfferedPackage]
    address: str = ""
    """Where machines may find its packages; empty: nowhere but here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    updates: tuple[FeedUpdate, ...]
    left_out: tuple[str, ...]
    """Advisories that are too large to be told."""


Offers = Mapping[tuple[str, str], Sequence[OfferedPackage]]
"""(name, architecture) -> the package in all its versions."""
Places = Mapping[bytes, Sequence[str]]
"""SHA-256 -> the addresses of the file."""


def updates_of(repositories: Iterable[Repository], system: System) -> Made:
    """Return the updates in a stable order, and what could not become one."""
    told: dict[str, dict[str, list[Advisory]]] = defaultdict(lambda: defaultdict(list))
    offers: dict[str, dict[tuple[str, str], list[OfferedPackage]]] = {}
    places: dict[bytes, list[str]] = defaultdict(list)
    for repository in repositories:
        index = offers.setdefault(repository.architecture, defaultdict(list))
        for package in repository.packages:
            index[package.name, package.architecture].append(package)
            if repository.address and package.path:
                places[package.sha256].append(f"{repository.address}/{package.path}")
        for advisory in repository.advisories:
            told[advisory.id][repository.architecture].append(advisory)
    updates: list[FeedUpdate] = []
    left_out: list[str] = []
    for identity in sorted(told):
        try:
            updates.extend(_update(told[identity], offers, places, system))
        except _TooLarge:
            left_out.append(identity)
    return Made(updates=tuple(updates), left_out=tuple(left_out))


class _TooLarge(Exception):
    """More packages than a leaf may hold."""


def _update(
    told: Mapping[str, Sequence[Advisory]],
    offers: Mapping[str, Offers],
    places: Places,
    system: System,
) -> Iterator[FeedUpdate]:
    """Yield it, or nothing when no repository offers any of its packages."""
    here = {
        architecture: _offered(advisories, offers[architecture], architecture)
        for architecture, advisories in sorted(told.items())
    }
    here = {architecture: found for architecture, found in here.items() if found}
    if not here:
        return
    # It may be told in several repositories; the one that was revised last knows best.
    advisory = max((a for some in told.values() for a in some), key=_revised_at)
    details = _details(advisory, here, system)
    leaves = tuple(
        _leaf(
            details,
            architecture,
            found,
            offers[architecture],
            system=system,
            restart=_restart(told[architecture], found),
        )
        for architecture, found in here.items()
    )
    files = sorted({file.sha256 for leaf in leaves for file in leaf.files})
    sources = tuple(FileSource(x, place) for x in files for place in places.get(x, ()))
    yield FeedUpdate(details=replace(details, sources=sources), leaves=leaves)


def _revised_at(advisory: Advisory) -> tuple[str, str]:
    return str(advisory.updated or advisory.issued or ""), repr(advisory)


def _offered(
    advisories: Iterable[Advisory], offers: Offers, architecture: str
) -> tuple[AdvisedPackage, ...]:
    """Return the advised packages that can be had, one for each name, architecture and module."""
    fits = {architecture, "noarch"} | _BESIDE.get(architecture, frozenset())
    found: dict[tuple[str, str, Module | None], AdvisedPackage] = {}
    for package in (package for advisory in advisories for package in advisory.packages):
        if package.architecture not in fits or not _newest(package, offers):
            continue
        key = (package.name, package.architecture, package.module)
        known = found.setdefault(key, package)
        if rpm_key(known.version) < rpm_key(package.version):
            found[key] = package
    return tuple(sorted(found.values(), key=_order))


def _order(package: AdvisedPackage) -> tuple[str, str, str, str]:
    module = package.module or Module("", "")
    return package.name, package.architecture, module.name, module.stream


def _newest(package: AdvisedPackage, offers: Offers) -> bool:
    some = offers.get((package.name, package.architecture), ())
    return any(rpm_key(package.version) <= rpm_key(offered.version) for offered in some)


def product_of(system: System) -> str:
    return f"{system.name} {system.release}"


def feed_of(system: System) -> str:
    return _NO_SLUG.sub("-", system.shard.lower()).strip("-")


def may_bring_any(system: System, selection: Selection) -> bool:
    """Say whether anything that the repositories of a system tell may be chosen."""
    return may_bring(
        selection,
        feed=feed_of(system),
        product=product_of(system),
        classifications={Classification.GENERAL, *_CLASSES.values()},
    )


def _details(
    advisory: Advisory, here: Mapping[str, Sequence[AdvisedPackage]], system: System
) -> UpdateDetails:
    vendor_id = f"{system.shard}/{advisory.id}"
    packages = (package for found in here.values() for package in found)
    fixed = {FixedPackage(p.name, p.version, p.architecture) for p in packages}
    return UpdateDetails(
        update=update_id(KIND, vendor_id),
        vendor_id=vendor_id,
        title=f"{advisory.id} {advisory.title}".strip()[:_MAX_TITLE],
        description=advisory.description,
        feed=feed_of(system),
        vendor=system.vendor,
        product=product_of(system),
        classification=_CLASSES.get(advisory.kind, Classification.GENERAL),
        severity=SEVERITIES.get(advisory.severity, Severity.NONE),
        cves=advisory.cves,
        packages=tuple(sorted(fixed, key=lambda p: (p.name, p.architecture, p.version))),
        released=advisory.issued,
        revised=advisory.updated,
        advisories=(advisory.id,),
        architectures=tuple(here),
    )


def _leaf(
    details: UpdateDetails,
    architecture: str,
    packages: Sequence[AdvisedPackage],
    offers: Offers,
    *,
    system: System,
    restart: Restart,
) -> Leaf:
    applicable, installed = _rules(packages, offers)
    if max(_size(applicable), _size(installed)) > MAX_NODES or len(packages) > MAX_FILES:
        raise _TooLarge
    files = {(f.name, f.version, f.sha256): f for p in packages for f in _files(p, offers)}
    return Leaf(
        number=UNNUMBERED,
        revision=FIRST,
        update=details.update,
        title=details.title,
        prerequisite=And((_here(system), Architecture((architecture,)))),
        applicable=applicable,
        installed=installed,
        files=tuple(files[key] for key in sorted(files)),
        floors=_floors(packages),
        origin=Origin(f"feed:{details.feed}"),
        restart=restart,
    )


def _here(system: System) -> Rule:
    """Return when a machine is of this release: what is for 9 is for 9.4, and not for 10."""
    if not system.has_minors or not system.release.isdecimal():
        return OperatingSystem(system.os_id, (system.version,))
    first, next_one = system.release, str(int(system.release) + 1)
    return And(
        (
            FactIs("os.version", (system.os_id,), Compared(Comparison.AT_LEAST, first)),
            FactIs("os.version", (system.os_id,), Compared(Comparison.LESS, next_one)),
        )
    )


def _size(rule: Rule) -> int:
    return sum(1 for _ in nodes(rule))


def _rules(packages: Sequence[AdvisedPackage], offers: Offers) -> tuple[Rule, Rule]:
    """Return when the leaf is needed or present, and when it is present."""
    groups: dict[Module | None, list[AdvisedPackage]] = defaultdict(list)
    for package in packages:
        groups[package.module].append(package)
    present, lacking = [], []
    for module, some in groups.items():
        present.append(_where(module, _any([_present(p) for p in some])))
        lacking.append(_where(module, _any([_lacks(p, offers) for p in some])))
    return _any(present), Not(_any(lacking))


def _where(module: Module | None, rule: Rule) -> Rule:
    return rule if module is None else And((ModuleStream(module.name, module.stream), rule))


def _any(rules: Sequence[Rule]) -> Rule:
    return rules[0] if len(rules) == 1 else Or(tuple(rules))


def _present(package: AdvisedPackage) -> PackageInstalled:
    return PackageInstalled(PackageFormat.RPM, package.name, architecture=package.architecture)


def _lacks(package: AdvisedPackage, offers: Offers) -> Rule:
    """Nodes are counted, so what only those need that stand side by side is said only of them."""

    def compared(by: Comparison) -> PackageInstalled:
        return PackageInstalled(
            PackageFormat.RPM, package.name, by, package.version, package.architecture
        )

    if any(o.side_by_side for o in offers.get((package.name, package.architecture), ())):
        return And((_present(package), Not(compared(Comparison.AT_LEAST))))
    return compared(Comparison.LESS)


def _files(package: AdvisedPackage, offers: Offers) -> Iterator[LeafFile]:
    """Yield the package's own file; one that its repository has replaced has none."""
    for offered in offers.get((package.name, package.architecture), ()):
        if offered.version == package.version:
            yield LeafFile(
                name=offered.name,
                version=offered.version,
                sha256=offered.sha256,
                size_bytes=offered.size_bytes,
            )


def _floors(packages: Iterable[AdvisedPackage]) -> tuple[PackageFloor, ...]:
    """Where streams of a module differ there is no one floor for a package."""
    versions: dict[str, set[str]] = defaultdict(set)
    for package in packages:
        versions[package.name].add(package.version)
    return tuple(
        PackageFloor(name, found.pop())
        for name, found in sorted(versions.items())
        if len(found) == 1
    )


def _restart(advisories: Sequence[Advisory], packages: Sequence[AdvisedPackage]) -> Restart:
    said: list[Advisory | AdvisedPackage] = [*advisories, *packages]
    if any(each.restart for each in said):
        return Restart.ALWAYS
    return Restart.MAY if any(each.relogin for each in said) else Restart.NEVER
