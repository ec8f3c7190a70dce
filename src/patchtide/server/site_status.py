"""Whether the site is well: for anybody that it answers, for the signed in what it publishes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from patchtide.domain.access.principals import Principal
from patchtide.server.context import Call
from patchtide.server.table import Nothing, Output


class Health(Output, kw_only=True, frozen=True):
    status: Literal["ok"]


class ShownShard(Output, kw_only=True, frozen=True):
    name: str
    serial: int
    leaves: int
    published_at: datetime


class ShownCatalog(Output, kw_only=True, frozen=True):
    lineage: str
    items: tuple[ShownShard, ...]
    to_describe: int
    """Updates whose changelogs are still to be read; and those of them that a machine requires."""
    to_describe_required: int


async def health(call: Call, principal: Principal, asked: Nothing) -> Health:
    """Only that database and server answer: no version, no count, no name (S37)."""
    await call.read(call.context.lookups.epoch)
    return Health(status="ok")


async def catalog(call: Call, principal: Principal, asked: Nothing) -> ShownCatalog:
    status = call.context.catalog
    shards = tuple(
        ShownShard(
            name=shard.name,
            serial=shard.serial,
            leaves=shard.leaves,
            published_at=datetime.fromtimestamp(shard.published_at, UTC),
        )
        for shard in await call.read(status.shards)
    )
    waiting, required = await call.read_fleet(call.context.descriptions.waiting)
    return ShownCatalog(
        lineage=status.lineage().hex(),
        items=shards,
        to_describe=waiting,
        to_describe_required=required,
    )
