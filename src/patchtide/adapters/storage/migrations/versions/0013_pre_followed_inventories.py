"""Inventories are followed by change number, as reports are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013_pre_followed_inventories"
down_revision = "0012_pre_collections"
branch_labels = None
depends_on = None


def upgrade() -> None:
    kind = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.add_column("client_inventory", sa.Column("change", kind, nullable=False, server_default="0"))
    op.create_index("client_inventory_by_change", "client_inventory", ["change"])
