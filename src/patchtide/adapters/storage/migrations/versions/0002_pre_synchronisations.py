"""The history of synchronisations has rows of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_pre_synchronisations"
down_revision = "0001_pre_first"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "synchronisation",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
