"""What people say of machines beyond the columns of the machines themselves."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, Text

from patchtide.adapters.storage.tables import Number, metadata

# A machine without a row here has nothing of this said of it.
machine_attributes = Table(
    "machine_attributes",
    metadata,
    Column("client", Number, primary_key=True, autoincrement=False),
    Column("cluster_name", String(256), nullable=False),
    Column("management_group", String(256), nullable=False),
    Column("tags", Text, nullable=False),
    # Scores by their weight, each a digit, or a dash where there is none.
    Column("scores", String(16), nullable=False),
    Column("schedule", String(36), nullable=False),
    Column("restart", String(16), nullable=False),
)
