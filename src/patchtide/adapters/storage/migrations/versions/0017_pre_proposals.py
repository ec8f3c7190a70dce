"""What one person may not decide alone waits for others who agree to it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017_pre_proposals"
down_revision = "0016_pre_proofs"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "proposal",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("operation", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("author", sa.String(length=256), nullable=False),
        sa.Column("person", sa.String(length=256), nullable=False),
        sa.Column("proposed_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("approvals", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=False),
        sa.Column("ended_by", sa.String(length=256), nullable=False),
        sa.Column("asked", sa.LargeBinary(), nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("changes", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("proposal_by_time", "proposal", ["proposed_at"])
    op.create_index("proposal_by_person", "proposal", ["person", "ended_at"])
