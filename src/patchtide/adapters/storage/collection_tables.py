"""The tables of collections. Who is in one is not stored, but for the machines that it names."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, LargeBinary, String, Table, Text, false

from patchtide.adapters.storage.tables import Number, metadata

collection = Table(
    "collection",
    metadata,
    Column("uuid", LargeBinary, primary_key=True),
    Column("name", String(256), nullable=False),
    # As names are compared: no two collections are called the same but for capitals.
    Column("folded", String(512), nullable=False, unique=True),
    Column("description", Text, nullable=False),
    Column("limiting", LargeBinary, nullable=False),
    Column("query", Text, nullable=False),
    Column("revision", Number, nullable=False),
    Column("changed_by", String(256), nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("tier_zero", Boolean, nullable=False, server_default=false()),
)

# Which others a collection includes or excludes; `place` keeps them as they were said.
collection_reference = Table(
    "collection_reference",
    metadata,
    Column("collection", LargeBinary, primary_key=True),
    Column("how", String(16), primary_key=True),
    Column("place", Number, primary_key=True, autoincrement=False),
    Column("other", LargeBinary, nullable=False),
)

# The machines that a collection names.
collection_member = Table(
    "collection_member",
    metadata,
    Column("collection", LargeBinary, primary_key=True),
    Column("client", Number, primary_key=True, autoincrement=False),
    Index("collection_member_by_client", "client"),
    sqlite_with_rowid=False,
)
