"""What a machine says of itself, as far as rules ask. What was not collected is None or absent.

"Not collected" and "not there" are different facts: the first makes a rule's verdict unknown,
the second false.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from patchtide.domain.catalog.rules import PackageFormat


@dataclass(frozen=True, slots=True)
class InstalledPackage:
    """One installed instance of a package."""

    version: str
    architecture: str


Packages = Mapping[str, tuple[InstalledPackage, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A machine's facts. `packages` has an entry for each package database that was read.

    `modules` says which stream each package module follows; where there are no modules, none does.
    """

    os_id: str | None = None
    os_version: str | None = None
    architecture: str | None = None
    modules: Mapping[str, str] | None = None
    packages: Mapping[PackageFormat, Packages] = field(default_factory=dict)


def by_name(rows: Iterable[tuple[str, str, str]]) -> Packages:
    """Index (name, version, architecture) rows of a package database."""
    found: dict[str, list[InstalledPackage]] = {}
    for name, version, architecture in rows:
        found.setdefault(name, []).append(InstalledPackage(version, architecture))
    return {name: tuple(instances) for name, instances in found.items()}
