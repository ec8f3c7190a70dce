"""What the vendors of the demonstration have released: texts, severities, rules, successors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from patchtide.domain.catalog.details import (
    Classification,
    FixedPackage,
    Severity,
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
from patchtide.domain.catalog.updates import (
    LeafFile,
    Origin,
    Restart,
    Revision,
    UpdateNumber,
    update_id,
)
from patchtide.entry.server.demo.lots import chance, one_of
from patchtide.entry.server.demo.systems import BY_PRODUCT, SOURCES, SYSTEMS, Source, System

SPAN_H = 400 * 24
YOUNGEST_H = 7
SEVERITIES = (Severity.NONE, Severity.MODERATE, Severity.IMPORTANT, Severity.CRITICAL, Severity.LOW)
FLAWS = (
    "A crafted input makes {what} read beyond its buffer, which tells parts of its memory.",
    "Whoever can send requests to {what} can make it use all memory of the machine.",
    "A use after free in {what} lets a remote attacker run code of his choice.",
    "{what} does not check a certificate's names in one case, so that traffic can be read.",
    "A local user can write where only root may, by a link that {what} follows.",
    "Several flaws were found in {what}; the worst of them lets an attacker end it from afar.",
)
REPAIRS = (
    "Repairs a crash of {what} at start on machines with more than 64 processors.",
    "Brings {what} to its vendor's current maintenance release.",
    "Repairs a regression of the last update of {what}.",
)
_RESTARTS = {"linux": Restart.ALWAYS, "glibc": Restart.MAY, "systemd": Restart.MAY}
_PACED = tuple(source for source in SOURCES for _ in range(source.pace))


@dataclass(frozen=True, slots=True)
class Release:
    """A version of a source package for one system; `place`: how many came before it."""

    system: System
    source: Source
    place: int
    at: datetime

    @property
    def version(self) -> str:
        return version_of(self.system, self.source, self.place)

    @property
    def names(self) -> tuple[str, ...]:
        name = self.source.named(self.system.format)
        return (name, f"{name}-common")[: 1 + (len(name) + len(self.system.shard)) % 2]


def version_of(system: System, source: Source, place: int) -> str:
    """Return the version of a release; of place -1: what is there before the first one."""
    return f"{source.version}.{10 + place}{system.revision}"


def releases(count: int, *, now: datetime) -> Sequence[Release]:
    """Return so many, of all systems, the oldest first."""
    made: list[Release] = []
    for system in SYSTEMS:
        own = max(1, round(count * system.share))
        step = SPAN_H / own
        places: dict[Source, int] = defaultdict(int)
        for n in reversed(range(own)):
            source = one_of(_PACED, "source", system.shard, n)
            hours = YOUNGEST_H + (n + 0.8 * chance("at", system.shard, n) * bool(n)) * step
            at = now - timedelta(hours=hours)
            made.append(Release(system, source, places[source], at))
            places[source] += 1
    return made


def details_of(release: Release) -> UpdateDetails:
    system, source, names = release.system, release.source, release.names
    mark = (system.shard, source.name, release.place)
    is_rpm = system.format is PackageFormat.RPM
    is_security = chance("security", *mark) < 0.7
    severity = Severity.NONE
    cves: tuple[str, ...] = ()
    if is_security:
        severity = SEVERITIES[int(chance("severity", *mark) ** 1.4 * 5)]
        if is_rpm and severity is Severity.NONE:  # an advisory is always rated
            severity = Severity.MODERATE
        first = 10_000 + int(chance("cve", *mark) * 50_000)
        some = 1 + int(chance("cves", *mark) * 4)
        cves = tuple(f"CVE-{release.at.year}-{first + n * 7}" for n in range(some))
    advisory = _advisory(release, is_security=is_security, severity=severity) if is_rpm else ""
    flaw = one_of(FLAWS if is_security else REPAIRS, "text", *mark).format(what=source.name)
    older = _identity(release, release.place - 1) if release.place else None
    return UpdateDetails(
        update=update_id("demo", _identity(release, release.place)),
        vendor_id=_identity(release, release.place),
        title=advisory or f"{source.name} {release.version}",
        description="\n".join((*(f"{n}: {source.what}" for n in names), flaw)),
        feed=system.feed if is_security or is_rpm else f"{system.os_id}-updates",
        vendor=system.vendor,
        product=system.product,
        classification=Classification.SECURITY if is_security else Classification.GENERAL,
        severity=severity,
        cves=cves,
        packages=tuple(FixedPackage(name, release.version, system.architecture) for name in names),
        released=release.at,
        advisories=(advisory.split(" ", 1)[0],) if advisory else (),
        architectures=(system.architecture,),
        supersedes=() if older is None else (update_id("demo", older),),
    )


def _identity(release: Release, place: int) -> str:
    version = version_of(release.system, release.source, place)
    return f"{release.system.shard}/{release.source.name}/{version}"


def _advisory(release: Release, *, is_security: bool, severity: Severity) -> str:
    number = 1000 + int(chance("advisory", release.source.name, release.place) * 8999)
    year = release.at.year
    name = release.source.named(release.system.format)
    if not is_security:
        return f"RLBA-{year}:{number} {name} bug fix update"
    return f"RLSA-{year}:{number} {severity.capitalize()}: {name} security update"


def leaf_of(details: UpdateDetails) -> Leaf:
    system = BY_PRODUCT.get(details.product, SYSTEMS[0])
    older = tuple(
        PackageInstalled(system.format, p.name, Comparison.LESS, p.version)
        for p in details.packages
    )
    there = (OperatingSystem(system.os_id, (system.version,)), Architecture(("amd64",)))
    return Leaf(
        number=UpdateNumber(0),
        revision=Revision(1),
        update=details.update,
        title=details.title,
        prerequisite=And(there),
        applicable=Or(tuple(PackageInstalled(system.format, p.name) for p in details.packages)),
        installed=Not(Or(older)),
        files=tuple(
            LeafFile(
                name=p.name,
                version=p.version,
                sha256=sha256(f"{p.name} {p.version}".encode()).digest(),
                size_bytes=int(chance("size", p.name) * 4_000_000),
            )
            for p in details.packages
        ),
        origin=Origin(f"feed:{details.feed}"),
        restart=_restart(details),
    )


def _restart(details: UpdateDetails) -> Restart:
    name = details.packages[0].name if details.packages else ""
    return _RESTARTS.get("linux" if name == "kernel" else name, Restart.NEVER)
