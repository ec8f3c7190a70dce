"""What a report makes of a stored state: pure set arithmetic on the wire's canonical form."""

from __future__ import annotations

from dataclasses import dataclass

from patchtide.server.ports.storage import IncomingReport
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
    return _difference(old, new)


def changed(old: Sets, report: IncomingReport) -> Moved | None:
    """Return what a difference makes of the state; None when it does not lead to its digest."""
    moved = [set(decode_set(d)) for d in (report.required, report.installed, report.unknown)]
    leaving = moved[0] | moved[1] | moved[2] | set(decode_set(report.gone))
    required, installed, unknown = (
        encode_set(set(decode_set(before)) - leaving | coming)
        for before, coming in zip(old, moved, strict=True)
    )
    digest = state_digest(
        lineage=report.lineage, required=required, installed=installed, unknown=unknown
    )
    if digest != report.digest:
        return None
    return _difference(old, (required, installed, unknown))


def _difference(old: Sets, new: Sets) -> Moved:
    added, removed = [], []
    for before, after in zip(old, new, strict=True):
        had, has = set(decode_set(before)), set(decode_set(after))
        added.append(encode_set(has - had))
        removed.append(encode_set(had - has))
    return Moved(new, (added[0], added[1], added[2]), (removed[0], removed[1], removed[2]))
