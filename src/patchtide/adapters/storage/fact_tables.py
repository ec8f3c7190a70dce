"""What machines told before: which lists became other ones, and how."""

from __future__ import annotations

from sqlalchemy import Column, Float, LargeBinary, String, Table

from patchtide.adapters.storage.tables import Number, metadata

# A list that became another one. Whoever takes reports may not read bodies, so how they differ is
# worked out later; then the row is gone.
changed_inventory = Table(
    "changed_inventory",
    metadata,
    Column("client", Number, primary_key=True, autoincrement=False),
    Column("kind", String(256), primary_key=True),
    Column("at", Float, primary_key=True),
    Column("was", LargeBinary, nullable=False),
    Column("now", LargeBinary, nullable=False),
)
fact_change = Table(
    "fact_change",
    metadata,
    Column("client", Number, primary_key=True, autoincrement=False),
    Column("kind", String(256), primary_key=True),
    Column("at", Float, primary_key=True),
    Column("told", LargeBinary, nullable=False),
)
