"""An update's long texts stand apart from what lists show; when it expired has a column."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_pre_update_texts"
down_revision = "0002_pre_synchronisations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Rows of before have their texts in the document still, and are read so.
    op.add_column("catalog_update", sa.Column("texts", sa.LargeBinary(), nullable=True))
    op.add_column("catalog_update", sa.Column("expired_at", sa.Float(), nullable=True))
