"""The table of proposals: what waits for a second person, and how it ended."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, LargeBinary, String, Table, Text

from patchtide.adapters.storage.tables import Number, metadata

# ended_at 0: it has not ended, though its time may be over.
proposal = Table(
    "proposal",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("operation", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("author", String(256), nullable=False),
    Column("person", String(256), nullable=False),
    Column("proposed_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("state", String(16), nullable=False),
    Column("approvals", Text, nullable=False),
    Column("ended_at", Float, nullable=False),
    Column("ended_by", String(256), nullable=False),
    Column("asked", LargeBinary, nullable=False),
    Column("told", Text, nullable=False),
    Column("changes", Number, nullable=False),
    Column("reach", LargeBinary),
    Column("author_counts", Number, nullable=False, server_default="1"),
    Index("proposal_by_time", "proposed_at"),
    Index("proposal_by_person", "person", "ended_at"),
)
