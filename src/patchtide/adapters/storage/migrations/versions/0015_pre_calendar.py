"""Collections have maintenance windows, freezes and business hours."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015_pre_calendar"
down_revision = "0014_pre_machine_attributes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calendar_entry",
        sa.Column("uuid", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("collection", sa.LargeBinary(), nullable=False),
        sa.Column("location", sa.String(length=256), nullable=False),
        sa.Column("said", sa.LargeBinary(), nullable=False),
        sa.Column("changed_by", sa.String(length=256), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("uuid"),
    )
    op.create_index("calendar_entry_by_collection", "calendar_entry", ["collection"])
