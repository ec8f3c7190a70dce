"""The tables of security keys."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, LargeBinary, String, Table

from patchtide.adapters.storage.tables import metadata

security_key = Table(
    "security_key",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("place", String(256), nullable=False),
    Column("credential", LargeBinary, nullable=False, unique=True),
    Column("public", LargeBinary, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("added_at", Float, nullable=False),
    Column("used_at", Float),
    Column("stopped_at", Float),
    Index("security_key_by_user", "user_id"),
)
