"""Messages wait until somebody outside was told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011_pre_outbox"
down_revision = "0010_pre_wanted_scans"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("message", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("message", "channel"),
    )
    op.create_index("outbox_by_due", "outbox", ["due_at"])
