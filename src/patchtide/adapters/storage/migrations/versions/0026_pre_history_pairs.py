"""Days of collections have rows of their own, and take no places of updates any more."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from uuid import UUID, uuid5

import msgspec
import sqlalchemy as sa
import zstandard
from alembic import op

revision = "0026_pre_history_pairs"
down_revision = "0025_pre_bound_tokens"
branch_labels = None
depends_on = None
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BLOCK, _PARTS, _COLUMNS, _WIDTH = 1024, 16, 5, 4
_PLANES = _COLUMNS * _WIDTH
_Pair = tuple[bytes, str]

pair = sa.table("history_pair", sa.column("part"), sa.column("day"), sa.column("document"))
place = sa.table("history_place", sa.column("place"), sa.column("update_id"))
block = sa.table("history_block", sa.column("block"), sa.column("day"), sa.column("document"))


def upgrade() -> None:
    op.create_table(
        "history_pair",
        sa.Column("part", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("day", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("part", "day"),
    )
    op.create_index("history_pair_by_day", "history_pair", ["day"])
    connection = op.get_bind()
    places = _places(connection)
    for day in sorted(connection.execute(sa.select(block.c.day).distinct()).scalars()):
        rows = [
            {"part": part, "day": day, "document": document}
            for part, document in _parts(connection, day, places)
        ]
        if rows:
            connection.execute(sa.insert(pair), rows)
    # No release has counted pairs so: no older server that serves meanwhile looks for them. Places
    # are given from the highest one on: what stands there stays, as nobody's.
    last = connection.execute(sa.select(sa.func.max(place.c.place))).scalar()
    gone = [{"gone": number} for number in places if number != last]
    if gone:
        connection.execute(sa.delete(place).where(place.c.place == sa.bindparam("gone")), gone)


def _places(connection: sa.Connection) -> Mapping[int, _Pair]:
    """Return where which pairs of what there still is were counted."""
    known = {row.update_id: row.place for row in connection.execute(sa.select(place))}
    if not known:
        return {}
    named = sa.text("SELECT name FROM update_search")
    made = (
        datetime.fromtimestamp(at, UTC).timestamp()
        for at in connection.execute(sa.text("SELECT at FROM update_list")).scalars()
    )
    sets = ["all", *(f"list {at!r}" for at in made)]
    sets += [f"search {name}" for name in connection.execute(named).scalars()]
    collections = connection.execute(sa.text("SELECT uuid FROM collection")).scalars().all()
    found = {
        uuid5(UUID(bytes=bytes(one)), of).bytes: (bytes(one), of)
        for one in collections
        for of in sets
    }
    return {known[key]: named for key, named in found.items() if key in known}


def _parts(
    connection: sa.Connection, day: int, places: Mapping[int, _Pair]
) -> Iterator[tuple[int, bytes]]:
    counts: defaultdict[int, dict[_Pair, bytes]] = defaultdict(dict)
    blocks = {number // _BLOCK for number in places}
    of_day = sa.select(block.c.block, block.c.document).where(block.c.day == day)
    for row in connection.execute(of_day.where(block.c.block.in_(blocks))):
        raw = zstandard.ZstdDecompressor().decompress(row.document)
        length = len(raw) // _PLANES
        for at in range(length):
            named = places.get(row.block * _BLOCK + at)
            planes = raw[at::length]
            if named is not None and any(planes):
                counts[UUID(bytes=named[0]).int % _PARTS][named] = planes
    for part, some in counts.items():
        yield part, _packed(some)


def _packed(counts: Mapping[_Pair, bytes]) -> bytes:
    collections = sorted({one for one, _ in counts})
    sets = sorted({of for _, of in counts})
    length = len(collections) * len(sets)
    planes = array("B", bytes(_PLANES * length))
    rows = {one: n * len(sets) for n, one in enumerate(collections)}
    columns = {of: n for n, of in enumerate(sets)}
    for (one, of), its in counts.items():
        planes[rows[one] + columns[of] :: length] = array("B", its)
    document = msgspec.msgpack.encode((b"".join(collections), sets, planes.tobytes()))
    return zstandard.ZstdCompressor(level=3, write_content_size=True).compress(document)
