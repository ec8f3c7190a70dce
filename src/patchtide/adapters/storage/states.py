"""What a report makes of a stored state: pure set arithmetic on the wire's canonical form."""

from __future__ import annotations

from dataclasses import dataclass

from patchtide.server.ports.reports import IncomingReport
from patchtide.wire.sets import decode_set, encode_set, state_digest

Sets = tuple[bytes, bytes, bytes]
"""required, installed, unknown"""


@dataclass(frozen=True, slots=True)
class Moved:
    """The new sets, and per set what was added and removed, in the order of `Sets`."""

    sets: Sets
    added: Sets
    removed: Sets


EMPTY: Sets = (b"", b"", b"")


def replaced(old: Sets, report: IncomingReport) -> Moved:
    """Return what a full report makes of the state."""
    new: Sets = (report.required, report.installed, report.unknown)
    if old == EMPTY:
        return Moved(new, new, EMPTY)
    return _moved([_replaced(before, after) for before, after in zip(old, new, strict=True)])


def changed(old: Sets, report: IncomingReport) -> Moved | None:
    """Return what a difference makes of the state; None when it does not lead to its digest."""
    coming = [set(decode_set(d)) for d in (report.required, report.installed, report.unknown)]
    leaving = coming[0].union(coming[1], coming[2], decode_set(report.gone))
    moved = _moved([_changed(b, leaving, c) for b, c in zip(old, coming, strict=True)])
    required, installed, unknown = moved.sets
    digest = state_digest(
        lineage=report.lineage, required=required, installed=installed, unknown=unknown
    )
    return moved if digest == report.digest else None


def _replaced(before: bytes, after: bytes) -> Sets:
    if before == after:
        return after, b"", b""
    had, has = set(decode_set(before)), set(decode_set(after))
    return after, encode_set(has - had), encode_set(had - has)


def _changed(before: bytes, leaving: set[int], coming: set[int]) -> Sets:
    had = set(decode_set(before))
    added, removed = coming - had, (had & leaving) - coming
    if not added and not removed:
        return before, b"", b""
    return encode_set((had - removed) | added), encode_set(added), encode_set(removed)


def _moved(parts: list[Sets]) -> Moved:
    """Turn (new, added, removed) a set into the same by kind."""
    (r, r_added, r_removed), (i, i_added, i_removed), (u, u_added, u_removed) = parts
    return Moved((r, i, u), (r_added, i_added, u_added), (r_removed, i_removed, u_removed))
