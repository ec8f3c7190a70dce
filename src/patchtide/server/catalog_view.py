"""What is published, rated and listed: the updates of the view, without who stands how on them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from uuid import UUID

from patchtide.domain.catalog.judged import Judged
from patchtide.domain.catalog.risk import Exposure, RiskClass, risk_class
from patchtide.domain.catalog.supersedence import Supersedence
from patchtide.domain.catalog.updates import UpdateId
from patchtide.domain.compliance.states import PlacedLeaf
from patchtide.domain.errors import NotFound
from patchtide.server.known_updates import Catalog, KnownUpdate
from patchtide.server.ports.update_lists import StoredList


@dataclass(slots=True, kw_only=True)
class CatalogView:
    updates: dict[UUID, KnownUpdate] = field(default_factory=dict)
    catalog: Catalog = field(default_factory=Catalog)
    judged: Judged = field(default_factory=Judged)
    lists: Mapping[str, StoredList] = field(default_factory=dict)
    told: int = 0
    """Another one whenever something changed that is told of updates, here or by their vendors."""
    _whole: Catalog | None = None
    """All that is known, where this view speaks of some of it; None: it speaks of all."""
    _by_leaf: dict[int, UUID] = field(default_factory=dict)
    _supersedence: Supersedence[UUID] = field(default_factory=lambda: Supersedence[UUID]({}))

    def keep_to(self, lists: Collection[str], *, told: int) -> None:
        """Speak of these lists and of what is on them: how machines stand follows from all."""
        self.lists = {name: one for name, one in self.lists.items() if name in lists}
        on = {update for one in self.lists.values() for update in one.updates}
        self._whole = self.catalog
        self.catalog = self.catalog.among(on)
        self.updates = {key: one for key, one in self.updates.items() if key in on}
        self.told = told

    def are_all(self, updates: Sized) -> bool:
        """Say whether these, of which each is offered, are all that machines are judged by."""
        return self._whole is None and len(updates) == len(self.updates)

    def risk_of(self, update: KnownUpdate, exposure: Exposure = Exposure.ORDINARY) -> RiskClass:
        """Return how urgent it is on machines that stand so."""
        return risk_class(update.severity, self.judged.rating(UpdateId(update.id)), exposure)

    def update(self, update: UUID) -> KnownUpdate:
        """Raises NotFound."""
        for one in self.known([update]):
            return one
        raise NotFound

    def known(self, updates: Iterable[UUID]) -> Iterator[KnownUpdate]:
        """Yield those of the updates that are known, offered or not."""
        for key in updates:
            found = self.updates.get(key) or self.catalog.get(key)
            if found is not None:
                yield found

    def successors(self, update: KnownUpdate) -> list[KnownUpdate]:
        """Return those that say they take its place, and are still offered."""
        said = self.known(self._supersedence.successors(update.id))
        return [one for one in said if not one.is_expired]

    def is_superseded(self, update: KnownUpdate) -> bool:
        """Say whether something that is still offered takes its place, perhaps through others."""
        expired = (self._whole or self.catalog).expired
        return self._supersedence.is_any_above(update.id, lambda key: key not in expired)

    def of_leaf(self, number: int) -> KnownUpdate | None:
        """Return the update that a leaf is of, whoever asks; None: it is published no more."""
        update = self._by_leaf.get(number)
        if update is None:
            return None
        return self.updates[update] if self._whole is None else self._whole.updates[update]

    def leaves_of(self, update: UUID) -> tuple[PlacedLeaf, ...]:
        """Return the leaves of any update, whoever asks. Raises NotFound."""
        if self._whole is None:
            return self.update(update).leaves
        found = self._whole.get(update)
        if found is None:
            raise NotFound
        return found.leaves

    def placed(self, number: int) -> PlacedLeaf | None:
        """Return where a leaf is published; None: it is not."""
        update = self.of_leaf(number)
        leaves = update.leaves if update else ()
        return next((leaf for leaf in leaves if leaf.number == number), None)

    def status_of(self, update: KnownUpdate) -> str:
        if update.is_expired:
            return "expired"
        return "superseded" if self.is_superseded(update) else "current"

    def licence_of(self, update: KnownUpdate) -> str:
        if update.details is None or not update.details.licence_digest:
            return "none"
        return "accepted" if self.judged.is_free(update.details) else "open"
