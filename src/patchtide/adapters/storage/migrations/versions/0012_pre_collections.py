"""Machines are put together in collections."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012_pre_collections"
down_revision = "0011_pre_outbox"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "collection",
        sa.Column("uuid", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("folded", sa.String(length=512), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("limiting", sa.LargeBinary(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("revision", NUMBER, nullable=False),
        sa.Column("changed_by", sa.String(length=256), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("folded"),
    )
    op.create_table(
        "collection_reference",
        sa.Column("collection", sa.LargeBinary(), nullable=False),
        sa.Column("how", sa.String(length=16), nullable=False),
        sa.Column("place", NUMBER, nullable=False, autoincrement=False),
        sa.Column("other", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("collection", "how", "place"),
    )
    op.create_table(
        "collection_member",
        sa.Column("collection", sa.LargeBinary(), nullable=False),
        sa.Column("client", NUMBER, nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("collection", "client"),
        sqlite_with_rowid=False,
    )
    op.create_index("collection_member_by_client", "collection_member", ["client"])
