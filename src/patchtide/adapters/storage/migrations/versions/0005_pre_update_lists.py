"""People save searches over updates, and keep lists of updates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_pre_update_lists"
down_revision = "0004_pre_judged_updates"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "update_search",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("saved_by", sa.String(length=256), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "update_list",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(length=256), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "update_list_member",
        sa.Column("list_name", sa.String(length=64), nullable=False),
        sa.Column("update_id", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("list_name", "update_id"),
    )
    op.create_index("update_list_member_by_update", "update_list_member", ["update_id"])
