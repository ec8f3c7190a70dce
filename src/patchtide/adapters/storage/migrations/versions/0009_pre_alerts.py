"""Alerts that rules raised are kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009_pre_alerts"
down_revision = "0008_pre_described_machines"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=False),
        sa.Column("acknowledged_by", sa.String(length=256), nullable=False),
        sa.Column("acknowledged_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("alert_by_rule", "alert", ["rule", "raised_at"])
    op.create_index("alert_by_end", "alert", ["ended_at"])
