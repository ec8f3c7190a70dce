"""Counts of updates as a view keeps them, and which of a long list have moved since it was asked.

A report moves some hundreds of thirty thousand: to ask for each whether it has would cost more
than to count those anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from patchtide.domain.compliance.states import Tally
from patchtide.server.known_updates import KnownUpdate


class Listing(NamedTuple):
    """Updates in a fixed order, where each has its place, and what was said of them last."""

    updates: Sequence[KnownUpdate]
    places: Mapping[UUID, int]
    known: Sequence[Tally]


class KeptTallies:
    """Update -> how many machines stand how on it."""

    def __init__(self) -> None:
        self._known: dict[UUID, Tally] = {}
        self._updates: Sequence[KnownUpdate] = ()
        self._said: list[Tally] | None = None
        """Of these updates; None: nothing of it may be true any more."""
        self._moved: set[UUID] = set()

    def get(self, update: UUID) -> Tally | None:
        return self._known.get(update)

    def known(self) -> Sequence[UUID]:
        """Return whose counts are kept."""
        return list(self._known)

    def put(self, update: UUID, tally: Tally) -> None:
        self._known[update] = tally

    def drop(self, update: UUID) -> None:
        self._known.pop(update, None)
        self._moved.add(update)

    def clear(self) -> None:
        self._known.clear()
        self._said = None

    def without(self, stale: Collection[UUID]) -> KeptTallies:
        """Return a copy that knows nothing of these."""
        made = KeptTallies()
        made._known = {key: one for key, one in self._known.items() if key not in stale}
        return made

    def listed(
        self, asked: Listing, tally_of: Callable[[KnownUpdate], Tally]
    ) -> tuple[Sequence[Tally], Sequence[int] | None]:
        """Return the tally of each, and at which places it is another than was known; None: any."""
        updates, places, known = asked
        moved: list[int] | None = None
        if self._said is None or self._said is not known or self._updates is not updates:
            found = [tally_of(update) for update in updates]
        else:
            found = self._said.copy()
            moved = [places[update] for update in self._moved if update in places]
            for place in moved:
                found[place] = tally_of(updates[place])
        self._updates, self._said, self._moved = updates, found, set()
        return found, moved
