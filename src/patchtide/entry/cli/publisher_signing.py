"""From definitions on this machine to updates in force: bring, draft, look, sign.

The draft is made by the server, so it is looked at here, file by file, and signed only if it holds
what was written here and nothing else. The keys never leave this machine.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer

from patchtide.adapters.publisher.folder import Definition
from patchtide.adapters.trust.drafts import NotSigned, read_draft, sign_draft
from patchtide.adapters.trust.layout import PUBLISHER
from patchtide.adapters.trust.proofreading import check_one_file
from patchtide.domain.catalog.custom import feed_update
from patchtide.domain.catalog.updates import UpdateId
from patchtide.entry.cli.publisher_site import SHARD, PublisherSite
from patchtide.wire.leaves import leaf_document
from patchtide.wire.publication import write_publication
from patchtide.wire.shard_draft import DraftDiffers, Standing, Written, check_draft
from patchtide.wire.shard_plan import target_of
from patchtide.wire.shards import read_index

IN_FORCE, WAITING, NOTHING = "in force", "waits for signatures", "nothing to sign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """What is to be published, and by which keys."""

    definitions: Sequence[Definition] = ()
    expired: Collection[UpdateId] = ()
    signers: Sequence[Signer] = ()
    """None: the keys that lie on the server sign, if there are any."""


def published(site: PublisherSite, asked: Publishing, *, now: float) -> Mapping[str, Any]:
    """Publish, and return the report.

    Raises:
        DraftDiffers, Refused: the server's draft is not what was written here.
        NotSigned: nobody who counts has signed.
        PatchtideError: what the server, the line or the trust refuse.
    """
    before = site.standing(now)
    updates = [feed_update(one.update) for one in asked.definitions]
    brought = [_brought(site, one) for one in asked.definitions]
    document = write_publication(updates, asked.expired)
    drafted = site.ask("publisher.draft", document=_bring_document(site, document))
    report = {"items": drafted["items"], "files_brought": sum(brought)}
    if not drafted["id"]:
        return {**report, "state": NOTHING}
    written = Written(
        documents={
            one.details.update.bytes: frozenset(map(leaf_document, one.leaves)) for one in updates
        },
        expired=frozenset(one.bytes for one in asked.expired),
    )
    metadata = base64.b64decode(drafted["metadata"])
    _look(site, drafted, metadata, before=before, written=written)
    signed = sign_draft(metadata, asked.signers) if asked.signers else b""
    said = site.ask("publisher.sign", draft=drafted["id"], metadata=signed)
    count = f"{said['signatures']} of {said['needed']}"
    own = {signer.public_key.keyid for signer in asked.signers}
    if not said["in_force"] and own.isdisjoint(said["signed_by"]):
        raise NotSigned(f"{count} signatures: sign with a key of the publisher's, by --sign-with")
    state = IN_FORCE if said["in_force"] else WAITING
    return {**report, "state": state, "serial": drafted["serial"], "signatures": count}


def _look(
    site: PublisherSite,
    drafted: Mapping[str, Any],
    metadata: bytes,
    *,
    before: Standing,
    written: Written,
) -> None:
    index = base64.b64decode(drafted["index"])
    draft = read_draft(metadata)
    check_one_file(PUBLISHER, site.in_force(), draft, path=target_of(SHARD), data=index)
    read = read_index(index, lineage=None, shard=SHARD)
    if read.serial != drafted["serial"]:
        raise DraftDiffers(f"it is of serial {read.serial}, not {drafted['serial']}")
    check_draft(read, before=before, written=written, read=site.content)


def _brought(site: PublisherSite, definition: Definition) -> int:
    return sum(site.bring(digest.hex(), path) for digest, path in definition.files.items())


def _bring_document(site: PublisherSite, document: bytes) -> str:
    digest = sha256(document).hexdigest()
    with tempfile.NamedTemporaryFile() as file:
        file.write(document)
        file.flush()
        site.bring(digest, Path(file.name))
    return digest
