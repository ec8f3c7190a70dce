"""Custom updates: what an administrator publishes, and what it is to machines."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from patchtide.domain.catalog.details import (
    Classification,
    FeedUpdate,
    FixedPackage,
    Severity,
    UpdateDetails,
)
from patchtide.domain.catalog.installers import Installer, InstallerKind
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import And, Architecture, Rule
from patchtide.domain.catalog.synchronisation import FIRST, UNNUMBERED
from patchtide.domain.catalog.updates import (
    LeafFile,
    Origin,
    PackageFloor,
    Restart,
    UpdateId,
    update_id,
)

KIND = "publisher"
ID = re.compile(r"[a-z0-9][a-z0-9._+/-]{0,126}")
"""What a publisher may call an update."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomUpdate:
    """An update as its publisher defines it. All three rules are there."""

    id: str
    title: str
    description: str = ""
    vendor: str
    classification: Classification
    severity: Severity = Severity.NONE
    products: tuple[str, ...]
    languages: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    prerequisite: Rule
    applicable: Rule
    installed: Rule
    installer: Installer
    restart: Restart = Restart.NEVER
    max_run_time: timedelta | None = None
    files: tuple[LeafFile, ...]
    licence: str = ""
    supersedes: tuple[UpdateId, ...] = ()
    cves: tuple[str, ...] = ()

    @property
    def update(self) -> UpdateId:
        return update_id(KIND, self.id)


def named_update(name: str) -> UpdateId | None:
    """Return which update is meant: by the id that its publisher gave it, or by its UUID."""
    try:
        return UpdateId(UUID(name))
    except ValueError:
        return update_id(KIND, name) if ID.fullmatch(name) else None


def feed_update(custom: CustomUpdate) -> FeedUpdate:
    """Return the update as the catalog takes it, with a leaf that only its publisher vouches for.

    A package's version becomes the lowest one that machines accept from then on.
    """
    is_packages = custom.installer.kind is not InstallerKind.PROGRAM
    floors = tuple(PackageFloor(f.name, f.version) for f in custom.files if is_packages)
    details = _details(custom, floors)
    leaf = Leaf(
        number=UNNUMBERED,
        revision=FIRST,
        update=custom.update,
        title=custom.title,
        prerequisite=_for_architectures(custom),
        applicable=custom.applicable,
        installed=custom.installed,
        files=custom.files,
        floors=floors,
        origin=Origin(KIND),
        restart=custom.restart,
        installer=replace(custom.installer, run_time=details.run_time),
    )
    return FeedUpdate(details=details, leaves=(leaf,))


def _for_architectures(custom: CustomUpdate) -> Rule:
    if not custom.architectures:
        return custom.prerequisite
    return And((Architecture(custom.architectures), custom.prerequisite))


def _details(custom: CustomUpdate, floors: tuple[PackageFloor, ...]) -> UpdateDetails:
    architecture = custom.architectures[0] if len(custom.architectures) == 1 else ""
    return UpdateDetails(
        update=custom.update,
        vendor_id=custom.id,
        title=custom.title,
        description=custom.description,
        feed=KIND,
        vendor=custom.vendor,
        product=custom.products[0],
        also_for=custom.products[1:],
        classification=custom.classification,
        severity=custom.severity,
        cves=custom.cves,
        packages=tuple(FixedPackage(f.name, f.version, architecture) for f in floors),
        languages=custom.languages,
        architectures=custom.architectures,
        supersedes=custom.supersedes,
        max_run_time=custom.max_run_time,
        licence=custom.licence,
    )
