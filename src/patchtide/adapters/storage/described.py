"""What people say of machines: columns beside what the machines said of themselves, and a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from patchtide.adapters.storage.attribute_tables import machine_attributes
from patchtide.adapters.storage.batches import Batch
from patchtide.adapters.storage.tables import client
from patchtide.domain.catalog.risk import Exposure
from patchtide.domain.compliance.described import SCORES, UNDESCRIBED, Described, RestartCode
from patchtide.server.ports.clients import ClientState

KEPT = 4096
"""A hundred thousand machines have few owners, roles and places between them."""
_UNSCORED = "-"
_SAY = Batch(
    update(client)
    .where(client.c.number == bindparam("of"))
    .values({name: bindparam(f"new_{name}") for name in ("owner", "roles", "exposure", "location")})
)


def _putting(dialect: Any) -> Any:
    row = dialect.insert(machine_attributes)
    new = {c.name: row.excluded[c.name] for c in machine_attributes.columns if not c.primary_key}
    return row.on_conflict_do_update(index_elements=[machine_attributes.c.client], set_=new)


_PUT = Batch(_putting(postgresql), on_sqlite=_putting(sqlite))
_ADD = Batch(insert(machine_attributes))


def described_of(row: Any) -> Described:
    # Of a machine without a row of its own there, the join has nothing in these.
    return _described(
        row.owner,
        row.roles,
        row.exposure,
        row.location,
        row.cluster_name or "",
        row.management_group or "",
        row.tags or "",
        row.scores or "",
        row.schedule or "",
        row.restart or "",
    )


@lru_cache(maxsize=KEPT)
def _described(
    owner: str,
    roles: str,
    exposure: str,
    location: str,
    cluster: str,
    management_group: str,
    tags: str,
    scores: str,
    schedule: str,
    restart: str,
) -> Described:
    found = Described(
        owner=owner,
        roles=_words(roles),
        exposure=Exposure(exposure) if exposure else Exposure.ORDINARY,
        location=location,
        cluster=cluster,
        management_group=management_group,
        tags=_words(tags),
        schedule=UUID(schedule) if schedule else None,
        restart=RestartCode(restart),
        **_scores(scores),
    )
    return UNDESCRIBED if found == UNDESCRIBED else found


def describe(connection: Connection, said: Mapping[int, Described]) -> None:
    """Put what is said of each of these machines now, all of it, in two statements."""
    _SAY.run(connection, [{"of": number, **_columns(one)} for number, one in said.items()])
    _PUT.run(connection, [_row(number, one) for number, one in said.items()])


def add(connection: Connection, said: Mapping[int, Described]) -> None:
    """As `describe`, of machines that nobody has said anything of before."""
    _ADD.run(connection, [_row(number, one) for number, one in said.items()])


def scheduled(connection: Connection, collection: UUID) -> int:
    """Return how many have it as their schedule: a retired one keeps what nobody can take back."""
    found = (
        select(func.count())
        .select_from(
            machine_attributes.join(client, client.c.number == machine_attributes.c.client)
        )
        .where(
            machine_attributes.c.schedule == str(collection),
            client.c.state != ClientState.DECOMMISSIONED.value,
        )
    )
    return int(connection.execute(found).scalar_one())


def columns_of(said: Described) -> dict[str, str]:
    """Return what is said of a machine in its own row."""
    return {
        "owner": said.owner,
        "roles": _json(said.roles),
        "exposure": "" if said.exposure is Exposure.ORDINARY else said.exposure.value,
        "location": said.location,
    }


def _columns(said: Described) -> dict[str, str]:
    return {f"new_{name}": value for name, value in columns_of(said).items()}


def _row(number: int, said: Described) -> dict[str, object]:
    return {
        "client": number,
        "cluster_name": said.cluster,
        "management_group": said.management_group,
        "tags": _json(said.tags),
        "scores": "".join(_UNSCORED if n is None else str(n) for n in said.scores),
        "schedule": str(said.schedule) if said.schedule else "",
        "restart": said.restart.value,
    }


def _json(words: tuple[str, ...]) -> str:
    return json.dumps(words) if words else ""


def _words(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text)) if text else ()


def _scores(text: str) -> dict[str, int | None]:
    told = zip(SCORES, text, strict=False)
    return {name: None if score == _UNSCORED else int(score) for name, score in told}
