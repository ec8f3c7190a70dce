"""What the use cases need for the stored catalog: leaves by shard and serial, and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from patchtide.domain.catalog.details import UpdateDetails
from patchtide.domain.catalog.judged import Acceptance
from patchtide.domain.catalog.risk import Rating

BlockKind = Literal["client", "update"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLeaf:
    """A leaf in a shard; `document` is its wire form."""

    number: int
    revision: int
    update: bytes
    document: bytes
    entered_serial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberHolder:
    """Whose an update number is: the role that signs its shard, and the update it stands for."""

    number: int
    role: str
    update: bytes


class CatalogWriting(Protocol):
    """Inside one decision."""

    def allot_numbers(self, count: int) -> int:
        """Return the first of `count` fresh update numbers of this site's block; never reused."""
        ...

    def grant_block(self, kind: BlockKind, *, site: str) -> int:
        """Give a whole block of numbers to a site below, for ever; return where it begins."""
        ...

    def receive_block(self, kind: BlockKind, first: int, *, site: str) -> None:
        """Take a block that the site above has granted; numbers come from such alone then.

        Raises:
            WrongState: the block is here already.
        """
        ...

    def know_numbers(self, numbers: Sequence[int]) -> None:
        """Note that update numbers of these numbers' blocks are given out above."""
        ...

    def unallotted(self, numbers: Sequence[int]) -> Sequence[int]:
        """Return those of the numbers that were never allotted."""
        ...

    def hold_numbers(self, wanted: Mapping[int, bytes], *, role: str) -> Sequence[NumberHolder]:
        """Give each number to the role and its update, for good.

        Returns those that have another holder already; they stay with it.
        """
        ...

    def leaf_revisions(self, shard: str, numbers: Sequence[int]) -> Mapping[int, int]:
        """Return the highest revision that the shard ever held, of those numbers it did."""
        ...

    def put_leaves(
        self, shard: str, serial: int, *, upserts: Sequence[StoredLeaf], drops: Sequence[int]
    ) -> None:
        """Put leaves into a shard for a serial; whoever reads it at an earlier one sees none."""
        ...

    def put_update_details(self, details: Sequence[UpdateDetails]) -> None:
        """Keep what people read of these updates, in place of what was there before."""
        ...

    def rate_update(self, update: UUID, rating: Rating | None) -> None:
        """Keep what the site says of it, in place of what it said before; None: nothing."""
        ...

    def accept_licence(self, digest: bytes, accepted: Acceptance) -> bool:
        """Note that these terms are accepted; False: they were already."""
        ...

    def lock_updates(self, ids: Sequence[UUID]) -> None:
        """Until the end of this transaction nobody else puts one of them on a list."""
        ...

    def hold_updates(self, ids: Sequence[UUID]) -> Sequence[UpdateDetails]:
        """Return what people read of these; nobody else changes it until this transaction ends."""
        ...

    def forget_updates(self, ids: Sequence[UUID], *, expired_by: datetime) -> int:
        """Remove what people read of those that had expired by then; return how many."""
        ...

    def put_synchronisation(self, number: int, *, at: float, document: bytes) -> None:
        """Keep what is told of a synchronisation, in place of what was told before."""
        ...

    def take_back_leaves(self, shard: str, serial: int, *, limit: int) -> int:
        """Undo a part of what was put in for that serial or a later one; 0: nothing is left."""
        ...

    def forget_replaced_leaves(self, shard: str, *, before: int, limit: int) -> int:
        """Remove a part of what newer revisions replaced before that serial; 0: nothing is left."""
        ...


class CatalogReading(Protocol):
    """The stored catalog, for publishing it."""

    def shards(self) -> Sequence[str]: ...

    def leaves(self, shard: str, *, at: int, after: int = 0) -> Sequence[StoredLeaf]:
        """Return the leaves live at a serial that entered (or were revised) after another one."""
        ...

    def left_leaves(self, shard: str, updates: Sequence[bytes]) -> Sequence[StoredLeaf]:
        """Return the last revision of each leaf of these updates that has left the shard."""
        ...

    def drops(self, shard: str, *, at: int, after: int = 0) -> Sequence[int]:
        """Return the numbers that left after a serial and are not there at a later one."""
        ...

    def setting(self, name: str) -> bytes | None: ...
