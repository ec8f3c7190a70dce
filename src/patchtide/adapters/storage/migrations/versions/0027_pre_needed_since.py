"""Since when which machines need what is kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027_pre_needed_since"
down_revision = "0026_pre_history_pairs"
branch_labels = None
depends_on = None
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "history_since",
        sa.Column("block", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("block"),
    )
