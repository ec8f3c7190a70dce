"""The fleet is counted day by day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_pre_history"
down_revision = "0006_pre_own_searches"
branch_labels = None
depends_on = None
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "history_day",
        sa.Column("day", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("day"),
    )
    op.create_table(
        "history_block",
        sa.Column("block", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("day", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("block", "day"),
    )
    op.create_index("history_block_by_day", "history_block", ["day"])
    op.create_table(
        "history_place",
        sa.Column("place", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("update_id", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("place"),
        sa.UniqueConstraint("update_id"),
    )
    op.create_table(
        "history_progress",
        sa.Column("day", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("day"),
    )
