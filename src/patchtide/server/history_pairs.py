"""How each pair of a collection and a set of updates was counted on a day, as it is written down.

A row says itself whose counts it has: of what is deleted nothing is written any more, what was
written goes with its day, and nobody else's counts ever stand where those stood.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

import msgspec

from patchtide.domain.compliance.history import UpdateCount
from patchtide.server.history_rows import MOST_BYTES, UpdateColumns, count_among, planes_of
from patchtide.wire.sets import pack, unpack

PARTS = 16
"""Rows of a day: who asks about one collection reads one of them."""
_ID = 16


class Pair(NamedTuple):
    collection: UUID
    of: str
    """All updates, a list or a search: see `history_sets`."""


class _Part(msgspec.Struct, frozen=True, array_like=True):
    """Counts of every collection on every set, one collection after the other."""

    collections: bytes
    sets: tuple[str, ...]
    counts: bytes


_PART = msgspec.msgpack.Decoder(_Part)


def part_of(collection: UUID) -> int:
    return collection.int % PARTS


def pack_pairs(pairs: Mapping[Pair, UpdateCount]) -> dict[int, bytes]:
    """Return what is written down of a day, by the part that it is read in."""
    parts: defaultdict[int, dict[Pair, UpdateCount]] = defaultdict(dict)
    for pair, count in pairs.items():
        parts[part_of(pair.collection)][pair] = count
    return {part: _packed(some) for part, some in parts.items()}


def pair_count(document: bytes, pair: Pair) -> UpdateCount:
    """Return what was counted of the pair; nothing, if nobody did."""
    part = _PART.decode(unpack(document, limit=MOST_BYTES, what="history"))
    key = pair.collection.bytes
    known = [part.collections[n : n + _ID] for n in range(0, len(part.collections), _ID)]
    if key not in known or pair.of not in part.sets:
        return UpdateCount()
    at = known.index(key) * len(part.sets) + part.sets.index(pair.of)
    return count_among(part.counts, at)


def _packed(pairs: Mapping[Pair, UpdateCount]) -> bytes:
    collections = sorted({pair.collection.bytes for pair in pairs})
    sets = tuple(sorted({pair.of for pair in pairs}))
    rows = {one: place * len(sets) for place, one in enumerate(collections)}
    places = {of: place for place, of in enumerate(sets)}
    columns = UpdateColumns.of_length(len(collections) * len(sets))
    for pair, count in pairs.items():
        columns.put(rows[pair.collection.bytes] + places[pair.of], count)
    part = _Part(b"".join(collections), sets, planes_of(columns.columns()))
    return pack(msgspec.msgpack.encode(part))
