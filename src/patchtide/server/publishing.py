"""Publishing custom updates, step by step: bring the files, have a draft made, sign it.

People use one command for all of it (`patchtide publisher publish`), which looks at the draft on
their own machine before it signs.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.context import Call
from patchtide.server.drafts import Changed
from patchtide.server.held_drafts import SHARD
from patchtide.server.patterns import RANDOM_ID, SHA256
from patchtide.server.table import Input, Output

MAX_FILE = 16 << 30
PART = 1 << 20
"""How much is gathered before it is written."""
Sha256 = Annotated[str, Meta(pattern=SHA256, description="SHA-256 of the file.")]
DraftId = Annotated[str, Meta(pattern=RANDOM_ID, description="Id of the draft.")]


class ShowFile(Input, kw_only=True, frozen=True):
    sha256: Sha256


class UploadFile(Input, kw_only=True, frozen=True):
    sha256: Sha256
    size: Annotated[int, Meta(ge=0, le=MAX_FILE, description="Bytes of the whole file.")]
    offset: Annotated[int, Meta(ge=0, le=MAX_FILE, description="Bytes that are here already.")] = 0


class ShownFile(Output, kw_only=True, frozen=True):
    sha256: str
    size: int
    """Bytes that are here."""
    is_whole: bool


class MakeDraft(Input, kw_only=True, frozen=True):
    document: Annotated[
        str,
        Meta(pattern=SHA256, description="SHA-256 of the publication, brought like a file."),
    ]


class DraftedUpdate(Output, kw_only=True, frozen=True):
    update: str
    id: str
    """What its publisher calls it."""
    title: str
    change: str
    revision: int


class ShownDraft(Output, kw_only=True, frozen=True):
    id: str
    """Empty: nothing changes for machines, so there is nothing to sign."""
    serial: int
    index: bytes
    metadata: bytes
    items: tuple[DraftedUpdate, ...]


class SignDraft(Input, kw_only=True, frozen=True):
    draft: DraftId
    metadata: Annotated[
        bytes,
        Meta(
            max_length=1 << 18,
            description="The signed metadata; empty: the keys on the server sign.",
        ),
    ] = b""


class ShownSignatures(Output, kw_only=True, frozen=True):
    signatures: int
    needed: int
    signed_by: tuple[str, ...]
    """Ids of the keys."""
    in_force: bool


async def show_file(call: Call, principal: Principal, asked: ShowFile) -> ShownFile:
    return await _shown(call, bytes.fromhex(asked.sha256))


async def upload(call: Call, principal: Principal, asked: UploadFile) -> ShownFile:
    """Put what comes behind what is here.

    Raises:
        StaleRevision: it does not begin where what is here ends.
        InvalidDocument: more came than was announced.
        WrongContent: it is whole, and another file.
    """
    content, digest = call.context.content, bytes.fromhex(asked.sha256)
    if await asyncio.to_thread(content.size, digest) is not None:
        return await _shown(call, digest)
    at, part = asked.offset, bytearray()
    async for chunk in call.body:
        part += chunk
        if at + len(part) > asked.size:
            raise InvalidDocument([Problem("size", f"more came than {asked.size} bytes")])
        if len(part) >= PART:
            at = await _append(call, digest, part, at=at)
    if part or not at:
        at = await _append(call, digest, part, at=at)
    if at == asked.size:
        await asyncio.to_thread(content.finish, digest)
    return await _shown(call, digest)


async def draft(call: Call, principal: Principal, asked: MakeDraft) -> ShownDraft:
    """Have a draft made; the same publication again has the same one."""
    await call.decide(principal, lambda tx: tx.note(SHARD, document=asked.document))
    made = await call.context.drafts.draft(principal.actor, bytes.fromhex(asked.document))
    held = made.draft
    return ShownDraft(
        id=held.id.hex() if held else "",
        serial=held.serial if held else 0,
        index=held.index if held else b"",
        metadata=held.metadata if held else b"",
        items=tuple(map(_said, made.changed)),
    )


async def sign(call: Call, principal: Principal, asked: SignDraft) -> ShownSignatures:
    """Take signatures; with enough of them it is in force."""
    await call.decide(principal, lambda tx: tx.note(SHARD, draft=asked.draft))
    drafts = call.context.drafts
    found = await drafts.sign(principal.actor, bytes.fromhex(asked.draft), asked.metadata)
    return ShownSignatures(
        signatures=len(found.keys),
        needed=found.needed,
        signed_by=tuple(sorted(found.keys)),
        in_force=found.are_enough,
    )


async def _shown(call: Call, digest: bytes) -> ShownFile:
    content = call.context.content
    size = await asyncio.to_thread(content.size, digest)
    begun = 0 if size is not None else await asyncio.to_thread(content.begun, digest)
    return ShownFile(
        sha256=digest.hex(), size=begun if size is None else size, is_whole=size is not None
    )


async def _append(call: Call, digest: bytes, part: bytearray, *, at: int) -> int:
    await asyncio.to_thread(call.context.content.append, digest, bytes(part), offset=at)
    written = at + len(part)
    part.clear()
    return written


def _said(changed: Changed) -> DraftedUpdate:
    return DraftedUpdate(
        update=str(changed.details.update),
        id=changed.details.vendor_id,
        title=changed.details.title,
        change=changed.change.value,
        revision=changed.details.revision,
    )
