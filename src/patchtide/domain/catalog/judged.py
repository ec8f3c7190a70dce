"""What the people of a site have decided about updates, whatever their vendors say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from patchtide.domain.catalog.details import UpdateDetails
from patchtide.domain.catalog.risk import UNRATED, Rating
from patchtide.domain.catalog.targets import DEFAULT_TARGETS, Targets
from patchtide.domain.catalog.updates import UpdateId


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """Somebody has accepted licence terms for the whole site."""

    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    ratings: Mapping[UpdateId, Rating] = field(default_factory=dict)
    licences: Mapping[bytes, Acceptance] = field(default_factory=dict)
    """By the terms' digest: the same terms in another update are accepted with them."""
    targets: Targets = field(default_factory=lambda: DEFAULT_TARGETS)
    """How soon how many machines are to have an update, by its risk class there."""

    def rating(self, update: UpdateId) -> Rating:
        return self.ratings.get(update, UNRATED)

    def acceptance(self, details: UpdateDetails) -> Acceptance | None:
        return self.licences.get(details.licence_digest)

    def is_free(self, details: UpdateDetails) -> bool:
        """Say whether no licence terms keep the update from being deployed."""
        return not details.licence_digest or details.licence_digest in self.licences
