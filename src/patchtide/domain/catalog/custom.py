"""Custom updates: what an administrator publishes, and what it is to machines."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from patchtide.domain.catalog.details import (
    RUN_TIMES,
    Classification,
    FeedUpdate,
    FixedPackage,
    Severity,
    UpdateDetails,
)
from patchtide.domain.catalog.installers import RUN_TIME, Installer, InstallerKind
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
    only_for: tuple[str, ...] = ()
    """The architecture that each file is for, in the order of the files; empty: for all."""
    licence: str = ""
    supersedes: tuple[UpdateId, ...] = ()
    cves: tuple[str, ...] = ()
    advisories: tuple[str, ...] = ()
    exclusive: bool = False
    """It is installed alone, with nothing else beside it."""
    can_uninstall: bool = False

    @property
    def variants(self) -> tuple[str, ...]:
        """Return the architectures that have files of their own; each becomes a leaf."""
        return tuple(sorted({one for one in self.only_for if one}))

    def files_for(self, architecture: str) -> tuple[LeafFile, ...]:
        """Return the files for machines of an architecture."""
        if not self.only_for:
            return self.files
        both = zip(self.files, self.only_for, strict=True)
        return tuple(file for file, only in both if only in ("", architecture))

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
    """Return the update as the catalog takes it, with leaves that only its publisher vouches for.

    A package's version becomes the lowest one that a machine accepts once it has installed it.
    """
    leaves = tuple(_leaf(custom, only) for only in custom.variants or ("",))
    return FeedUpdate(details=_details(custom), leaves=leaves)


def _leaf(custom: CustomUpdate, architecture: str) -> Leaf:
    """Return the leaf for machines of an architecture that has files of its own, or for all."""
    files = custom.files_for(architecture)
    names = (architecture,) if architecture else custom.architectures
    return Leaf(
        number=UNNUMBERED,
        revision=FIRST,
        update=custom.update,
        title=custom.title,
        prerequisite=_for_architectures(custom.prerequisite, names),
        applicable=custom.applicable,
        installed=custom.installed,
        files=files,
        floors=_floors(custom, files),
        origin=Origin(KIND),
        restart=custom.restart,
        exclusive=custom.exclusive,
        installer=replace(custom.installer, run_time=_run_time(custom)),
    )


def _floors(custom: CustomUpdate, files: tuple[LeafFile, ...]) -> tuple[PackageFloor, ...]:
    if custom.installer.kind is InstallerKind.PROGRAM:
        return ()
    return tuple(PackageFloor(file.name, file.version) for file in files)


def _run_time(custom: CustomUpdate) -> timedelta:
    return custom.max_run_time or RUN_TIMES.get(custom.classification, RUN_TIME)


def _for_architectures(prerequisite: Rule, names: tuple[str, ...]) -> Rule:
    return And((Architecture(names), prerequisite)) if names else prerequisite


def _details(custom: CustomUpdate) -> UpdateDetails:
    architecture = custom.architectures[0] if len(custom.architectures) == 1 else ""
    only_for = custom.only_for or ("",) * len(custom.files)
    is_packages = custom.installer.kind is not InstallerKind.PROGRAM
    packages = tuple(
        FixedPackage(file.name, file.version, only or architecture)
        for file, only in zip(custom.files, only_for, strict=True)
        if is_packages
    )
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
        advisories=custom.advisories,
        can_uninstall=custom.can_uninstall,
        packages=packages,
        languages=custom.languages,
        architectures=custom.architectures or custom.variants,
        supersedes=custom.supersedes,
        max_run_time=custom.max_run_time,
        licence=custom.licence,
    )
