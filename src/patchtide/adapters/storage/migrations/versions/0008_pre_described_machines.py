"""People say whose a machine is, what for, where it stands and how exposed it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008_pre_described_machines"
down_revision = "0007_pre_history"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A node of before goes on enrolling machines meanwhile, and says nothing of these.
    for name, kind in (
        ("owner", sa.String(length=256)),
        ("roles", sa.Text()),
        ("exposure", sa.String(length=32)),
        ("location", sa.String(length=256)),
    ):
        op.add_column("client", sa.Column(name, kind, nullable=False, server_default=""))
