"""What machines reported last, read from their rows; packed, where another process does that."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
from msgspec import structs
from pyroaring import BitMap

from patchtide.domain.compliance.states import NONE, States
from patchtide.domain.errors import InvalidDocument
from patchtide.server.member import Said
from patchtide.server.ports.reports import StateRow
from patchtide.wire.sets import decode_set

RowsBeside = Callable[[Sequence[int]], Sequence[Said] | None]
"""Reads these machines' rows beside the server; None: they are to be read here."""

log = logging.getLogger(__name__)

UNREADABLE = (ValueError, OverflowError, OSError, InvalidDocument, msgspec.DecodeError)
UNREAD = "The server cannot read what it reported last."


class _Packed(msgspec.Struct, array_like=True, gc=False):
    """A row as it goes from one process to another: its sets as the index has them."""

    client: int
    lineage: bytes
    required: bytes
    installed: bytes
    unknown: bytes
    shards: bytes
    scan: str
    scan_error: str
    scanned_at: int
    reported_at: float
    aged_catalog: bool


_Sets = tuple[BitMap, BitMap, BitMap]
"""Required, installed, unknown."""
_encode = msgspec.msgpack.Encoder().encode
_packed_rows = msgspec.msgpack.Decoder(list[_Packed])
_serials = msgspec.msgpack.Decoder(dict[str, int])


def nowhere(clients: Sequence[int]) -> Sequence[Said] | None:
    """There is nobody beside the server."""
    return None


def said(row: StateRow) -> Said:
    readable, sets = _read(row)
    return _said(readable, sets)


def packed(rows: Iterable[StateRow]) -> bytes:
    return _encode([_pack(*_read(row)) for row in rows])


def unpacked(data: bytes) -> Sequence[Said]:
    """Return what was packed; it comes from a process of this server's own."""
    return [
        _said(row, (_bitmap(row.required), _bitmap(row.installed), _bitmap(row.unknown)))
        for row in _packed_rows.decode(data)
    ]


def _read(row: StateRow) -> tuple[StateRow, _Sets]:
    """Return the row and its sets; of one that cannot be read, that nothing is known."""
    try:
        _shards_of(row.shards)
        _instant(row.scanned_at)
        return row, (_set_of(row.required), _set_of(row.installed), _set_of(row.unknown))
    except UNREADABLE as error:
        # One machine's word must not end the view of all: nothing is known of that one.
        log.warning("the report of machine %d cannot be read: %s", row.client, error)
        unread = structs.replace(row, scan="failed", scan_error=UNREAD, scanned_at=0, shards=b"")
        return unread, (NONE, NONE, NONE)


def _said(row: StateRow | _Packed, sets: _Sets) -> Said:
    required, installed, unknown = sets
    return Said(
        client=row.client,
        lineage=row.lineage,
        states=States(
            required=required,
            installed=installed,
            unknown=unknown,
            shards=_shards_of(row.shards),
        ),
        scan=row.scan,
        scan_error=row.scan_error,
        scanned_at=_instant(row.scanned_at),
        reported_at=_instant(row.reported_at),
        aged_catalog=row.aged_catalog,
    )


def _pack(row: StateRow, sets: _Sets) -> _Packed:
    required, installed, unknown = (s.serialize() if s else b"" for s in sets)
    return _Packed(
        client=row.client,
        lineage=row.lineage,
        required=required,
        installed=installed,
        unknown=unknown,
        shards=row.shards,
        scan=row.scan,
        scan_error=row.scan_error,
        scanned_at=row.scanned_at,
        reported_at=row.reported_at,
        aged_catalog=row.aged_catalog,
    )


@lru_cache(maxsize=1024)
def _shards_of(told: bytes) -> Mapping[str, int]:
    """Return what thousands of machines evaluated alike: one mapping for all of them."""
    return _serials.decode(told) if told else {}


def _set_of(numbers: bytes) -> BitMap:
    return BitMap(decode_set(numbers)) if numbers else NONE


def _bitmap(data: bytes) -> BitMap:
    return BitMap.deserialize(data) if data else NONE


def _instant(epoch_s: float) -> datetime | None:
    return datetime.fromtimestamp(epoch_s, UTC) if epoch_s else None
