"""People save searches for themselves alone, too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_pre_own_searches"
down_revision = "0005_pre_update_lists"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "own_update_search",
        sa.Column("owner", sa.String(length=256), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "name"),
    )
