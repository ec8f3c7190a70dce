"""A new machine is in build until it is compliant, or for so many hours."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023_pre_in_build"
down_revision = "0022_pre_bound_reach"
branch_labels = None
depends_on = None
_IN_BUILD = sa.text("build_until > 0")


def upgrade() -> None:
    kind = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.add_column("client", sa.Column("build_until", kind, nullable=False, server_default="0"))
    op.create_index(
        "client_in_build",
        "client",
        ["build_until"],
        sqlite_where=_IN_BUILD,
        postgresql_where=_IN_BUILD,
    )
