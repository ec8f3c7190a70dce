"""People say of machines how critical they are, whom they stand in for, and when they may rest."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014_pre_machine_attributes"
down_revision = "0013_pre_followed_inventories"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "machine_attributes",
        sa.Column("client", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("cluster_name", sa.String(length=256), nullable=False),
        sa.Column("management_group", sa.String(length=256), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("scores", sa.String(length=16), nullable=False),
        sa.Column("schedule", sa.String(length=36), nullable=False),
        sa.Column("restart", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("client"),
    )
