"""A freeze in a year that no calendar here knows froze nothing, and cannot be read any more."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0029_pre_freezes_in_calendar"
down_revision = "0028_pre_let_in_by"
branch_labels = None
depends_on = None
_entry = sa.table(
    "calendar_entry",
    sa.column("uuid", sa.LargeBinary),
    sa.column("kind", sa.String),
    sa.column("said", sa.LargeBinary),
)
_KNOWN = ("2000", "2199")


def upgrade() -> None:
    connection = op.get_bind()
    freezes = sa.select(_entry.c.uuid, _entry.c.said).where(_entry.c.kind == "freeze")
    for row in connection.execute(freezes).all():
        said = json.loads(row.said)
        if not all(_KNOWN[0] <= said[end][:4] <= _KNOWN[1] for end in ("begins", "ends")):
            connection.execute(sa.delete(_entry).where(_entry.c.uuid == row.uuid))
