"""What people say of machines: columns beside what the machines said of themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, update

from patchtide.adapters.storage.tables import client
from patchtide.domain.catalog.risk import Exposure
from patchtide.domain.compliance.described import UNDESCRIBED, Described, Description

KEPT = 4096
"""A hundred thousand machines have few owners, roles and places between them."""


def described_of(row: Any) -> Described:
    return _described(row.owner, row.roles, row.exposure, row.location)


@lru_cache(maxsize=KEPT)
def _described(owner: str, roles: str, exposure: str, location: str) -> Described:
    found = Described(
        owner=owner,
        roles=tuple(json.loads(roles)) if roles else (),
        exposure=Exposure(exposure) if exposure else Exposure.ORDINARY,
        location=location,
    )
    return UNDESCRIBED if found == UNDESCRIBED else found


def describe(connection: Connection, uuids: Sequence[bytes], said: Description) -> None:
    """Say it of all of them, in one statement."""
    values = {
        "owner": said.owner,
        "roles": None if said.roles is None else json.dumps(said.roles),
        "exposure": None if said.exposure is None else said.exposure.value,
        "location": said.location,
    }
    changed = {name: value for name, value in values.items() if value is not None}
    connection.execute(update(client).where(client.c.uuid.in_(uuids)).values(changed))
