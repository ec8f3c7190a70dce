"""Custom updates on their way into force: drafted here, signed where the publisher's keys are.

A server numbers what is new and writes the files, but it cannot sign for them: whoever owns it
brings nothing to a machine. So what it made waits, seen by nobody, until enough publishers have
looked at it on machines of their own and signed. There is one draft at a time; a new one of other
content takes its place, and one of the same content is the same, so that a second publisher signs
what the first one did. One that nobody signs any more is withdrawn after a week.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import msgspec

from patchtide.domain.catalog.custom import KIND
from patchtide.domain.catalog.details import FeedUpdate, UpdateDetails
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.synchronisation import (
    ShardChanges,
    changes,
    details_to_keep,
    offered_leaves,
)
from patchtide.domain.catalog.updates import LeafFile, UpdateId
from patchtide.domain.errors import InvalidDocument, NotFound, Problem, StaleRevision
from patchtide.server import publication
from patchtide.server.catalog import CatalogPublisher, Prepared
from patchtide.server.descriptions import Descriptions, DetailsReading
from patchtide.server.held_drafts import (
    HELD,
    ROLE,
    SHARD,
    SYSTEM,
    WAITS,
    WITHDRAW,
    DraftSigner,
    HeldDraft,
    Signatures,
    is_over,
    why_gone,
    withdrawn,
)
from patchtide.server.ports.catalog import CatalogReading, StoredLeaf
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.content import ContentIntake
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.wire.leaves import entry, read_leaves
from patchtide.wire.publication import MAX_BYTES, Wanted, read_publication
from patchtide.wire.shard_plan import target_of

NAMED = 20
"""Of what is missing, or unknown, so many are named."""


class Change(StrEnum):
    """What a publication does to an update."""

    NEW = "new"
    REVISED = "revised"
    UNCHANGED = "unchanged"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    details: UpdateDetails
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """What was made of a publication. Without a draft there is nothing to sign."""

    changed: tuple[Changed, ...]
    draft: HeldDraft | None


class DraftDesk:
    """One draft and one signature at a time, on each node; nodes keep each other out by claims."""

    def __init__(
        self,
        *,
        publisher: CatalogPublisher,
        reading: CatalogReading,
        described: DetailsReading,
        details: Descriptions,
        decisions: Decisions,
        content: ContentIntake,
        signer: DraftSigner,
        clock: Clock,
    ) -> None:
        self._publisher = publisher
        self._reading = reading
        self._described = described
        self._details = details
        self._decisions = decisions
        self._content = content
        self._signer = signer
        self._clock = clock
        self._busy = asyncio.Lock()

    async def draft(self, actor: str, document: bytes) -> Drafted:
        """Make what a publication asks for ready to be signed.

        Raises:
            NotFound: the document is not here.
            InvalidDocument: it asks for what cannot be, or files of it are not here.
        """
        async with self._busy:
            data = await asyncio.to_thread(self._content.read, document, at_most=MAX_BYTES)
            wanted = await asyncio.to_thread(read_publication, data)
            await asyncio.to_thread(self._require_files, wanted)
            changed = await asyncio.to_thread(self._changed, wanted)
            held = await asyncio.to_thread(self._held)
            is_same = held is not None and held.document == document
            if held is not None and is_same and await self._still_fits(held):
                return Drafted(changed=changed, draft=held)
            made = await asyncio.to_thread(self._leaf_changes, wanted)
            prepared = await self._publisher.prepare(
                actor, SHARD, leaves=made.upserts, drops=made.drops
            )
            if prepared is None:
                await self._tell(wanted)
                return Drafted(changed=changed, draft=None)
            return Drafted(changed=changed, draft=await self._keep(actor, document, prepared))

    async def sign(self, actor: str, draft: bytes, signed: bytes) -> Signatures:
        """Take signatures, and put the draft in force once there are enough.

        Nothing signed: the keys that lie on this server sign, if there are any.

        Raises:
            StaleRevision: there is another draft by now.
            Refused: it was not this draft that was signed, or the keys here are not enough.
        """
        async with self._busy:
            held = await asyncio.to_thread(self._held)
            if held is None or held.id != draft or not await self._still_fits(held):
                raise StaleRevision(why_gone(held, draft))
            merged = await asyncio.to_thread(self._merged, held, signed)
            found = Signatures(*await asyncio.to_thread(self._signer.signatures, ROLE, merged))
            if not found.are_enough:
                await self._put(actor, msgspec.structs.replace(held, metadata=merged))
                return found
            # What people read comes first: nobody should see an update that nothing is told of.
            data = await asyncio.to_thread(self._content.read, held.document, at_most=MAX_BYTES)
            await self._tell(await asyncio.to_thread(read_publication, data))
            await self._publisher.enact(actor, SHARD, held.prepared, merged)
            return found

    async def step(self) -> None:
        """Withdraw a draft that nobody has signed for a week; call it every hour or so."""
        await asyncio.to_thread(self._content.forget_old_parts)
        async with self._busy:
            held = await asyncio.to_thread(self._held)
            now = self._clock.now()
            if held is None or not is_over(held, now) or not await self._is_waiting(held):
                return
            while await self._decisions.decide(SYSTEM, WITHDRAW, withdrawn(held, now), now=now):
                pass
            await asyncio.to_thread(self._forget_files, held.document, now - WAITS)

    async def _is_waiting(self, held: HeldDraft) -> bool:
        """Say whether it holds others up, or can still be put in force: many have been."""
        record = await asyncio.to_thread(self._record)
        is_claiming = bool(held.claim) and record.claim == held.claim
        return not held.withdrawn_at and (is_claiming or await self._still_fits(held))

    def _forget_files(self, document: bytes, before: datetime) -> None:
        """Remove what was brought for a publication, unless something else names it."""
        try:
            data = self._content.read(document, at_most=MAX_BYTES)
        except NotFound:
            return
        brought = _brought(read_publication(data)).keys()
        for digest in brought - self._publisher.naming(brought) | {document}:
            self._content.drop(digest.hex(), unless_since=before.timestamp())

    def _merged(self, held: HeldDraft, signed: bytes) -> bytes:
        if signed:
            return self._signer.with_signatures(ROLE, held.metadata, signed)
        return self._signer.signed_here(ROLE, held.metadata)

    async def _tell(self, wanted: Wanted) -> None:
        await self._details.keep(await asyncio.to_thread(self._dated, wanted))
        await self._details.expire(wanted.expired)

    def _held(self) -> HeldDraft | None:
        data = self._reading.setting(HELD)
        return msgspec.msgpack.decode(data, type=HeldDraft) if data else None

    async def _still_fits(self, held: HeldDraft) -> bool:
        """Say whether the draft can still be put in force as it is."""
        if held.withdrawn_at:
            return False
        record = await asyncio.to_thread(self._record)
        ahead = record.serial + 1 if held.claim else record.serial
        if (record.claim, ahead) != (held.claim, held.serial):
            return False
        return await asyncio.to_thread(self._signer.is_next, ROLE, held.metadata)

    async def _keep(self, actor: str, document: bytes, prepared: Prepared) -> HeldDraft:
        files = {target_of(SHARD): prepared.index}
        metadata = await asyncio.to_thread(self._signer.draft, ROLE, files, self._clock.now())
        held = HeldDraft(
            id=prepared.claim or document[:16],
            document=document,
            claim=prepared.claim,
            serial=prepared.serial,
            index=prepared.index,
            leaves=prepared.leaves,
            drops=prepared.drops,
            metadata=metadata,
        )
        await self._put(actor, held)
        return held

    async def _put(self, actor: str, held: HeldDraft) -> None:
        kept = msgspec.structs.replace(held, kept_at=self._clock.now().timestamp())

        def work(tx: Transaction) -> None:
            tx.put_setting(HELD, msgspec.msgpack.encode(kept))
            tx.note(SHARD, serial=held.serial, document=held.document.hex())

        await self._decisions.decide(actor, HELD, work, now=self._clock.now())

    def _require_files(self, wanted: Wanted) -> None:
        # Touched, so that no node removes them as left over from an earlier draft.
        missing = [
            f
            for digest, f in _brought(wanted).items()
            if self._content.size(digest) != f.size_bytes or not self._content.keep_on(digest.hex())
        ]
        if missing:
            what = "is not on this server"
            raise InvalidDocument(
                [Problem(f.sha256.hex(), f"{f.name} {what}") for f in missing[:NAMED]]
            )

    def _changed(self, wanted: Wanted) -> tuple[Changed, ...]:
        ids = [one.details.update for one in wanted.updates]
        held = {x.update: x for x in self._described.update_details([*ids, *wanted.expired])}
        own = {one for one, details in held.items() if details.feed == KIND}
        unknown = [one for one in wanted.expired if one not in own]
        if unknown:
            what = "is no custom update here"
            raise InvalidDocument([Problem(str(one), what) for one in unknown[:NAMED]])
        standing = {leaf.update for leaf in self._stored()}
        changing = {leaf.update for leaf in self._leaf_changes(wanted).upserts}
        kept = details_to_keep(held, self._dated(wanted))
        rewritten = {details.update: details for details in kept}
        return (
            *(
                _told(u, held | rewritten, standing=standing, changed=changing | rewritten.keys())
                for u in wanted.updates
            ),
            *(_taken_back(held[one]) for one in wanted.expired),
        )

    def _dated(self, wanted: Wanted) -> list[UpdateDetails]:
        """Return what people read, with when it was published first, and when otherwise.

        So what changes for machines alone is a new revision to people, too.
        """
        now, offered = self._clock.now(), [one.details for one in wanted.updates]
        held = {x.update: x for x in self._described.update_details([x.update for x in offered])}
        changing = {leaf.update for leaf in self._leaf_changes(wanted).upserts}
        return [_dated(held.get(x.update), x, now, x.update in changing) for x in offered]

    def _leaf_changes(self, wanted: Wanted) -> ShardChanges:
        named = {one.details.update for one in wanted.updates} | set(wanted.expired)
        held = [leaf for leaf in self._stored() if leaf.update in named]
        offered = list(offered_leaves(wanted.updates))
        new = {leaf.update for leaf in offered} - {leaf.update for leaf in held}
        left = _read(self._reading.left_leaves(SHARD, sorted(one.bytes for one in new)))
        return changes(held, offered, left=left)

    def _record(self) -> publication.ShardRecord:
        return publication.read_record(self._reading.setting(publication.RECORD + SHARD))

    def _stored(self) -> list[Leaf]:
        record = self._record()
        return _read(self._reading.leaves(SHARD, at=record.serial)) if record.serial else []


def _brought(wanted: Wanted) -> Mapping[bytes, LeafFile]:
    return {f.sha256: f for u in wanted.updates for leaf in u.leaves for f in leaf.files}


def _dated(
    held: UpdateDetails | None, offered: UpdateDetails, now: datetime, is_changing: bool
) -> UpdateDetails:
    if held is None:
        return replace(offered, released=now)
    same = replace(offered, released=held.released, revised=held.revised, revision=held.revision)
    return replace(same, revised=now) if is_changing or same != held else same


def _read(stored: Iterable[StoredLeaf]) -> list[Leaf]:
    leaves, _ = read_leaves(entry(x.number, x.revision, x.document) for x in stored)
    return leaves


def _told(
    update: FeedUpdate,
    known: Mapping[UpdateId, UpdateDetails],
    *,
    standing: set[UpdateId],
    changed: set[UpdateId],
) -> Changed:
    one = update.details.update
    details = known.get(one, update.details)
    if one not in standing:
        return Changed(details=details, change=Change.NEW)
    change = Change.REVISED if one in changed else Change.UNCHANGED
    return Changed(details=details, change=change)


def _taken_back(details: UpdateDetails) -> Changed:
    change = Change.UNCHANGED if details.expired_at else Change.EXPIRED
    return Changed(details=details, change=change)
