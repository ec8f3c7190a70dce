"""An enrolment token may be for one expected machine, and counts who else shows it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025_pre_bound_tokens"
down_revision = "0024_pre_last_policy"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("enrolment_token", sa.Column("machine", sa.LargeBinary(), nullable=True))
    op.add_column(
        "enrolment_token", sa.Column("misses", sa.Integer(), nullable=False, server_default="0")
    )
