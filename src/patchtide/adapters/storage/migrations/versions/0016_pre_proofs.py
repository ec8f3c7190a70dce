"""Sessions know when their person last proved who she is; of older ones it was long ago."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016_pre_proofs"
down_revision = "0015_pre_calendar"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "user_session", sa.Column("proved_at", sa.Float(), nullable=False, server_default="0")
    )
