"""A draft as the database keeps it, and how one that nobody signs is withdrawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from patchtide.server import publication
from patchtide.server.catalog import Prepared
from patchtide.server.ports.decisions import Transaction
from patchtide.wire.shard_plan import role_of

SHARD = "custom"
ROLE = role_of(SHARD)
HELD = "catalog.draft"
WITHDRAW = "catalog.withdraw-draft"
SYSTEM = "system"
WAITS = timedelta(days=7)
"""So long a draft waits for signatures, from the last one."""


class HeldDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for signatures."""

    id: bytes
    document: bytes
    """SHA-256 of the publication that it was made of."""
    claim: bytes
    serial: int
    index: bytes
    leaves: int
    drops: int
    metadata: bytes
    """The role's next version, with the signatures that were brought so far."""
    kept_at: float = 0.0
    """When it was made, or signed last; in epoch seconds."""
    withdrawn_at: float = 0.0
    """Nothing of it is here any more since then; 0: it waits."""

    @property
    def prepared(self) -> Prepared:
        return Prepared(
            claim=self.claim,
            serial=self.serial,
            index=self.index,
            leaves=self.leaves,
            drops=self.drops,
        )


@dataclass(frozen=True, slots=True)
class Signatures:
    """Which keys have signed, and how many must."""

    keys: frozenset[str]
    needed: int

    @property
    def are_enough(self) -> bool:
        return len(self.keys) >= self.needed


class DraftSigner(Protocol):
    """The signed repository, for what is signed elsewhere. It blocks."""

    def draft(self, role: str, files: Mapping[str, bytes], now: datetime) -> bytes: ...

    def is_next(self, role: str, draft: bytes) -> bool:
        """Say whether nothing was published of the role since the draft was made."""
        ...

    def with_signatures(self, role: str, draft: bytes, signed: bytes) -> bytes:
        """Return the draft with those signatures of the other that count.

        Raises:
            Refused: the other says something else, or is none.
        """
        ...

    def signed_here(self, role: str, draft: bytes) -> bytes:
        """Return the draft with the signatures of the keys that lie on this server."""
        ...

    def signatures(self, role: str, draft: bytes) -> tuple[frozenset[str], int]:
        """Return the keys whose signatures count, and how many are needed."""
        ...


def is_over(held: HeldDraft, now: datetime) -> bool:
    return datetime.fromtimestamp(held.kept_at, UTC) + WAITS <= now


def withdrawn(held: HeldDraft, now: datetime) -> Callable[[Transaction], bool]:
    """Return what withdraws the draft, and says whether more of it is to be taken back."""
    emptied = msgspec.structs.replace(held, index=b"", metadata=b"", withdrawn_at=now.timestamp())

    def work(tx: Transaction) -> bool:
        data = tx.lock_setting(HELD)
        found = msgspec.msgpack.decode(data, type=HeldDraft) if data else None
        if found not in (held, emptied):  # another node made or signed one meanwhile
            return False
        if found == held:
            if held.claim and publication.locked_record(tx, SHARD).claim != held.claim:
                return False  # another node has put it in force just now
            tx.put_setting(HELD, msgspec.msgpack.encode(emptied))
            tx.note(SHARD, serial=held.serial, document=held.document.hex())
        return bool(held.claim) and publication.release(tx, SHARD, claim=held.claim)

    return work


def why_gone(held: HeldDraft | None, draft: bytes) -> str:
    if held is None or held.id != draft or not held.withdrawn_at:
        return "this draft is not there any more; publish again"
    on = datetime.fromtimestamp(held.withdrawn_at, UTC)
    return f"this draft was withdrawn on {on:%Y-%m-%d}, unsigned for a week; publish again"
