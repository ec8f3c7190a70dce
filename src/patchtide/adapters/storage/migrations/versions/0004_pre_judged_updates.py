"""Security staff rate updates, and licence terms are accepted once for the site."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_pre_judged_updates"
down_revision = "0003_pre_update_texts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "update_rating",
        sa.Column("update_id", sa.LargeBinary(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("update_id"),
    )
    op.create_table(
        "licence_acceptance",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("accepted_by", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
