"""Updates: what is published, what people read and say of them, and where they come from."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, LargeBinary, String, Table, Text

from patchtide.adapters.storage.tables import Number, metadata, required

catalog_leaf = Table(
    "catalog_leaf",
    metadata,
    Column("shard", String(256), primary_key=True),
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("entered_serial", Number, primary_key=True, autoincrement=False),
    Column("dropped_serial", Number),
    required("revision", Number),
    required("update_id", LargeBinary),
    required("document", LargeBinary),
    Index("catalog_leaf_by_entry", "shard", "entered_serial"),
    Index("catalog_leaf_by_exit", "shard", "dropped_serial"),
    Index("catalog_leaf_by_update", "update_id"),
)

# Whose a number is, for good: also after its leaf has left every shard.
catalog_number = Table(
    "catalog_number",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    required("role", String(64)),
    required("update_id", LargeBinary),
)

# What people read of an update; machines never get it.
catalog_update = Table(
    "catalog_update",
    metadata,
    Column("update_id", LargeBinary, primary_key=True),
    required("document", LargeBinary),
    # What only the page of one update shows; lists of thousands are read without it.
    Column("texts", LargeBinary),
    Column("expired_at", Float),
)

# What the site's security staff say of an update; it outlives the update.
update_rating = Table(
    "update_rating",
    metadata,
    Column("update_id", LargeBinary, primary_key=True),
    required("document", LargeBinary),
)

licence_acceptance = Table(
    "licence_acceptance",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    required("at", Float),
    required("accepted_by", String(256)),
)

update_search = Table(
    "update_search",
    metadata,
    Column("name", String(64), primary_key=True),
    required("query", Text),
    required("saved_by", String(256)),
    required("at", Float),
)

own_update_search = Table(
    "own_update_search",
    metadata,
    Column("owner", String(256), primary_key=True),
    Column("name", String(64), primary_key=True),
    required("query", Text),
    required("at", Float),
)

update_list = Table(
    "update_list",
    metadata,
    Column("name", String(64), primary_key=True),
    required("note", Text),
    required("made_by", String(256)),
    required("at", Float),
)

update_list_member = Table(
    "update_list_member",
    metadata,
    Column("list_name", String(64), primary_key=True),
    Column("update_id", LargeBinary, primary_key=True),
    Index("update_list_member_by_update", "update_id"),
)

# The history of synchronisations, one row each; `document` tells what came of it.
synchronisation = Table(
    "synchronisation",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    required("at", Float),
    required("document", LargeBinary),
)
