"""People ask machines to scan; what a machine owes stands beside its last report."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010_pre_wanted_scans"
down_revision = "0009_pre_alerts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    kind = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.add_column(
        "client_state", sa.Column("scan_wanted", kind, nullable=False, server_default="0")
    )
