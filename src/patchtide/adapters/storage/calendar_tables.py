"""The table of the calendar: windows, freezes and business hours, of collections and locations."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, LargeBinary, String, Table

from patchtide.adapters.storage.tables import metadata

calendar_entry = Table(
    "calendar_entry",
    metadata,
    Column("uuid", LargeBinary, primary_key=True),
    Column("kind", String(16), nullable=False),
    # Empty: of no collection, but of a location or of the whole site.
    Column("collection", LargeBinary, nullable=False),
    Column("location", String(256), nullable=False),
    Column("said", LargeBinary, nullable=False),
    Column("changed_by", String(256), nullable=False),
    Column("changed_at", Float, nullable=False),
    Index("calendar_entry_by_collection", "collection"),
)
