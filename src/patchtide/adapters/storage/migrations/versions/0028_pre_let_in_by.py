"""An account remembers who let it in, and a proposal whether its author counted as a person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028_pre_let_in_by"
down_revision = "0027_pre_needed_since"
branch_labels = None
depends_on = None
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for table, column in (("user_account", "let_in_by"), ("sign_in_link", "shown_to")):
        op.add_column(table, sa.Column(column, sa.String(256), nullable=False, server_default=""))
    op.add_column(
        "proposal", sa.Column("author_counts", _NUMBER, nullable=False, server_default="1")
    )
