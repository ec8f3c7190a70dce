"""What a machine has told of itself, as its rules would see it, and when it told it."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, datetime

from patchtide.domain.applicability.facts import Facts, Packages, by_name
from patchtide.domain.errors import InvalidDocument
from patchtide.server.ports.fleet import FleetDetails
from patchtide.wire.inventory import FactsV1, facts_of, package_rows, read_facts

FACTS, PACKAGES = "facts", "packages"
KINDS = (FACTS, PACKAGES)
"""The kinds of inventory that rules go by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A machine's facts; what it has not told is not collected."""

    facts: Facts
    facts_at: datetime | None
    packages_at: datetime | None

    @property
    def untold(self) -> tuple[str, ...]:
        """Return the kinds of which there is nothing at all."""
        told = {FACTS: self.facts_at, PACKAGES: self.packages_at}
        return tuple(kind for kind, at in told.items() if at is None)


def told_by(store: FleetDetails, client: int) -> Told:
    held = {h.kind: h for h in store.inventory_of(client) if h.kind in (FACTS, PACKAGES)}
    bodies = store.inventory_bodies([h.digest for h in held.values()])
    found = {kind: bodies[h.digest] for kind, h in held.items() if h.digest in bodies}
    said, packages = readable_facts(found.get(FACTS)), readable_packages(found.get(PACKAGES))
    at = {kind: datetime.fromtimestamp(h.at, UTC) for kind, h in held.items()}
    return Told(
        facts=Facts() if said is None else facts_of(said, packages),
        facts_at=None if said is None else at[FACTS],
        packages_at=None if packages is None else at[PACKAGES],
    )


def readable_facts(body: bytes | None) -> FactsV1 | None:
    """Return the facts; None: there are none, or none that would be taken today."""
    try:
        return None if body is None else read_facts(body)
    except InvalidDocument:
        return None


def readable_packages(
    body: bytes | None, *, named: Container[str] | None = None
) -> Packages | None:
    """Return the packages, or those of these names; None: no list that would be taken today."""
    try:
        rows = None if body is None else package_rows(body)
    except InvalidDocument:
        return None
    if rows is None or named is None:
        return None if rows is None else by_name(rows)
    return by_name([row for row in rows if row[0] in named])
