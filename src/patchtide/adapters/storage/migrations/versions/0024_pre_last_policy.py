"""Machines are known to have taken their settings, and when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024_pre_last_policy"
down_revision = "0023_pre_in_build"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "client_presence", sa.Column("policy_at", sa.Float(), nullable=False, server_default="0")
    )
