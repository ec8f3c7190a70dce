"""What is published: the serial of each shard, for people who look whether all is well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedShard:
    name: str
    serial: int
    leaves: int
    published_at: float
    """Epoch seconds."""


class CatalogStatus(Protocol):
    def lineage(self) -> bytes: ...

    def shards(self) -> Sequence[PublishedShard]: ...
