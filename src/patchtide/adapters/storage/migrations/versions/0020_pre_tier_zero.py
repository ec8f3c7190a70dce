"""A collection can be of tier 0; none is to begin with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020_pre_tier_zero"
down_revision = "0019_pre_security_keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "collection",
        sa.Column("tier_zero", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
