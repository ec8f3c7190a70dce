"""Updates as lists have them: what is published, what people read of it, and how it counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from uuid import UUID

from patchtide.domain.catalog.details import Severity, UpdateDetails
from patchtide.domain.catalog.risk import RiskClass
from patchtide.domain.compliance.states import PlacedLeaf, Tally

SEVERITY_RANKS: Mapping[Severity, int] = {one: rank for rank, one in enumerate(Severity)}
"""The most severe first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownUpdate:
    """An update as it is published, and what people read of it, if a feed told any."""

    id: UUID
    title: str
    leaves: tuple[PlacedLeaf, ...]
    details: UpdateDetails | None = None
    order: tuple[int, str, str]
    """Its place among others, the most severe first; made once, compared often."""
    text: str = ""
    """What a search looks through, case folded; made once, too."""

    @property
    def severity(self) -> Severity:
        return self.details.severity if self.details else Severity.NONE

    @property
    def supersedes(self) -> Collection[UUID]:
        return self.details.supersedes if self.details else ()

    @property
    def is_expired(self) -> bool:
        return self.details is not None and self.details.expired_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All updates that are known, by what lists make of them."""

    updates: Mapping[UUID, KnownUpdate] = field(default_factory=dict)
    """Those that are offered, and counted."""
    expired: Mapping[UUID, KnownUpdate] = field(default_factory=dict)
    """Those that their vendor stands by no more; they have no leaves."""
    parts: Mapping[UUID, KnownUpdate] = field(default_factory=dict)
    """Those that show within a bundle alone: its leaves are theirs, too."""
    bundles: Mapping[UUID, frozenset[UUID]] = field(default_factory=dict)
    """Bundle -> all that it is made of."""

    def get(self, update: UUID) -> KnownUpdate | None:
        return self.updates.get(update) or self.expired.get(update) or self.parts.get(update)

    def among(self, some: Collection[UUID]) -> Catalog:
        """Return the catalog of these alone; what a bundle is made of goes with it."""
        parts = {part for one in some for part in self.bundles.get(one, ())}
        return Catalog(
            updates=_of(self.updates, some),
            expired=_of(self.expired, some),
            parts=_of(self.parts, parts.union(some)),
            bundles={key: made for key, made in self.bundles.items() if key in some},
        )

    def all(self) -> Iterable[KnownUpdate]:
        return chain(self.updates.values(), self.expired.values(), self.parts.values())


def _of(updates: Mapping[UUID, KnownUpdate], some: Iterable[UUID]) -> dict[UUID, KnownUpdate]:
    return {key: updates[key] for key in some if key in updates}


@dataclass(frozen=True, slots=True)
class Counted:
    """An update with what lists are sorted and filtered by."""

    update: KnownUpdate
    tally: Tally
    restart_pending: int = 0
    status: str = "current"
    risk: RiskClass = RiskClass.LOW
    licence: str = "none"
