"""A proposal keeps which machines the rights reach that it hands on; older ones reach none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022_pre_bound_reach"
down_revision = "0021_pre_needed_before"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("proposal", sa.Column("reach", sa.LargeBinary(), nullable=True))
