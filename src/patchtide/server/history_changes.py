"""Which decisions explain a step in a curve, picked out of the audit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from patchtide.server.history_rows import Change
from patchtide.server.ports.audit import AuditEntry

MOST = 60
"""Changes that are told of one day."""
SYNCHRONISED, BEGUN, PUBLISHED = "catalog.synchronised", "catalog.synchronise", "catalog.publish"
TOGETHER = frozenset(
    {
        "agents.enrol",
        "machines.approve",
        "machines.decommission",
        "machines.quarantine",
        "machines.release",
    }
)
"""Decisions about machines, of which there are thousands on a day: told of by their number."""
ALONE = frozenset(
    {
        PUBLISHED,
        SYNCHRONISED,
        "catalog.withdraw",
        "collections.add",
        "collections.change",
        "collections.create",
        "collections.remove",
        "lists.add",
        "lists.create",
        "lists.remove",
        "searches.save",
        "site.mark-restored",
        "updates.rate",
    }
)
MOVES = TOGETHER | ALONE
"""What moves counts, or how urgent something is."""
Brought = Callable[[int], int]
"""Returns how many variants of updates a synchronisation put in, changed or took out."""


def moved(entries: Iterable[AuditEntry], *, brought: Brought) -> list[Change]:
    """Return what of these decisions moved counts.

    What a synchronisation publishes is told of by the synchronisation; one that found nothing new
    is no change.
    """
    found, running = list[Change](), set[str]()
    for entry in entries:
        if entry.operation == BEGUN:
            running.add(entry.actor)
        elif entry.operation == SYNCHRONISED:
            running.discard(entry.actor)
            found += _synchronised(entry, brought)
        elif entry.operation in MOVES and not (
            entry.operation == PUBLISHED and (entry.actor in running or entry.actor == "system")
        ):
            found.append(_change(entry))
    return found


def merged(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return one change of each kind and subject, by the first of them, in order."""
    found: dict[tuple[str, str], Change] = {}
    for change in sorted(changes, key=lambda one: one.sequence):
        key = change.operation, change.subject
        known = found.get(key)
        if known is None:
            found[key] = change
        elif known.sequence != change.sequence:
            count = known.count + change.count
            found[key] = msgspec.structs.replace(known, count=count)
    return tuple(found.values())[:MOST]


def concerning(
    changes: Sequence[Change],
    *,
    of: str,
    names: frozenset[str],
    is_of_all: bool = True,
    reads_catalog: bool = True,
) -> list[Change]:
    """Return those that may have moved a curve `of` the fleet, an update, a list or a search.

    `names` are what it is called, and was, and the collection that it is of. `is_of_all`: it is of
    all machines; of the others it is not told how many of them were let in or retired.
    `reads_catalog`: so it is with what came into the catalog, for whoever reads a part of it.
    """

    def concerns(change: Change) -> bool:
        area = change.operation.partition(".")[0]
        if change.operation in TOGETHER:
            return is_of_all
        if area == "catalog":
            return reads_catalog
        if area == "collections":
            return change.subject in names
        own = {"lists": "list", "searches": "search", "updates": "update"}.get(area)
        return own is None or (own == of and change.subject in names)

    return [change for change in changes if concerns(change)]


def _synchronised(entry: AuditEntry, brought: Brought) -> list[Change]:
    number = int(entry.subject) if entry.subject.isdecimal() else 0
    count = brought(number)
    if not count:
        return []
    return [msgspec.structs.replace(_change(entry), count=count)]


def _change(entry: AuditEntry) -> Change:
    together = entry.operation in TOGETHER
    return Change(
        operation=entry.operation,
        subject="" if together else entry.subject,
        at=entry.at.timestamp(),
        sequence=entry.sequence,
    )
