"""The fleet day by day."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, LargeBinary, Table

from patchtide.adapters.storage.tables import Number, metadata, required

# The fleet as it was counted last on each day (of UTC, by its number from year 1).
history_day = Table(
    "history_day",
    metadata,
    Column("day", Number, primary_key=True, autoincrement=False),
    required("at", Float),
    required("document", LargeBinary),
)

# How machines stood on each update on a day, a thousand updates a row.
history_block = Table(
    "history_block",
    metadata,
    Column("block", Number, primary_key=True, autoincrement=False),
    Column("day", Number, primary_key=True, autoincrement=False),
    required("document", LargeBinary),
    Index("history_block_by_day", "day"),
)

# How each collection stood on each set of updates on a day, by parts of all collections.
history_pair = Table(
    "history_pair",
    metadata,
    Column("part", Number, primary_key=True, autoincrement=False),
    Column("day", Number, primary_key=True, autoincrement=False),
    required("document", LargeBinary),
    Index("history_pair_by_day", "day"),
)

# Where in the rows of blocks an update is, for good.
history_place = Table(
    "history_place",
    metadata,
    Column("place", Number, primary_key=True, autoincrement=False),
    required("update_id", LargeBinary, unique=True),
)

# Of the last days, which machines needed what: by the place of the update, a thousand in a row.
# Block -1 says of a day that this was kept: what is in no other row nobody needed then.
history_needing = Table(
    "history_needing",
    metadata,
    Column("day", Number, primary_key=True, autoincrement=False),
    Column("block", Number, primary_key=True, autoincrement=False),
    required("document", LargeBinary),
)

# Since which day which machines need what: a thousand updates a row, as they stand now.
history_since = Table(
    "history_since",
    metadata,
    Column("block", Number, primary_key=True, autoincrement=False),
    required("document", LargeBinary),
)

# How far each update had come by a day; of the newest two days alone.
history_progress = Table(
    "history_progress",
    metadata,
    Column("day", Number, primary_key=True, autoincrement=False),
    required("document", LargeBinary),
)
