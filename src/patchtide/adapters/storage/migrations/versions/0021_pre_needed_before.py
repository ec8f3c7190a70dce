"""Of the last days is kept which machines needed what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021_pre_needed_before"
down_revision = "0020_pre_tier_zero"
branch_labels = None
depends_on = None
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "history_needing",
        sa.Column("day", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("block", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("day", "block"),
    )
