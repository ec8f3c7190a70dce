"""What machines told before is kept: which of their lists became others, and how."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018_pre_fact_history"
down_revision = "0017_pre_proposals"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for table, columns in (("changed_inventory", ("was", "now")), ("fact_change", ("told",))):
        op.create_table(
            table,
            sa.Column("client", _NUMBER, autoincrement=False, nullable=False),
            sa.Column("kind", sa.String(256), nullable=False),
            sa.Column("at", sa.Float(), nullable=False),
            *(sa.Column(name, sa.LargeBinary(), nullable=False) for name in columns),
            sa.PrimaryKeyConstraint("client", "kind", "at"),
        )
