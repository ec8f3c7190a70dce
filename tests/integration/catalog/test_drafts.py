"""Drafts on a real database: whoever has no key puts nothing in force, and nothing half."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from patchtide.adapters.trust.drafted import DraftedRoles
from patchtide.adapters.trust.drafts import sign_draft
from patchtide.adapters.trust.keys import KeyFolder, KeysElsewhere, raw_public_key
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.domain.catalog.custom import CustomUpdate, feed_update
from patchtide.domain.catalog.details import Classification, UpdateDetails
from patchtide.domain.catalog.installers import Installer, InstallerKind
from patchtide.domain.catalog.rules import Always
from patchtide.domain.catalog.updates import LeafFile, UpdateId, update_id
from patchtide.domain.errors import InvalidDocument, Refused, StaleRevision
from patchtide.server.drafts import Change, DraftDesk
from patchtide.server.held_drafts import WITHDRAW, HeldDraft
from patchtide.server.publication import RECORD, read_record
from patchtide.wire.publication import write_publication
from tests.integration.catalog.node import Node, a_leaf, node
from tests.simulator.databases import sqlite_url
from tests.simulator.signing import change_keys

pytestmark = pytest.mark.anyio
FILE = b"a program"


@dataclass
class Publishing:
    """A node whose publisher's keys are with two people."""

    node: Node
    repository: TrustRepository
    desk: DraftDesk
    keys: list[CryptoSigner]

    def document(self, *names: str, expired: tuple[UpdateId, ...] = (), text: str = "") -> bytes:
        updates = [feed_update(an_update(name, text=text)) for name in names]
        return bytes.fromhex(self.node.content.put(write_publication(updates, expired)))

    async def draft(
        self, *names: str, expired: tuple[UpdateId, ...] = (), text: str = ""
    ) -> HeldDraft:
        made = await self.desk.draft("anna", self.document(*names, expired=expired, text=text))
        assert made.draft is not None
        return made.draft

    async def sign(self, draft: HeldDraft, *signers: CryptoSigner) -> bool:
        signed = sign_draft(draft.metadata, signers)
        return (await self.desk.sign("anna", draft.id, signed)).are_enough

    def published(self) -> list[str]:
        serial = self.node.catalog.serials().get("custom", 0)
        return self.node.fetched("custom", {}, serial=0) if serial else []


def an_update(name: str, *, text: str = "") -> CustomUpdate:
    return CustomUpdate(
        id=name,
        title=name,
        description=text,
        vendor="Acme",
        classification=Classification.APPLICATION,
        products=("Acme",),
        prerequisite=Always(),
        applicable=Always(),
        installed=Always(),
        installer=Installer(kind=InstallerKind.PROGRAM, program="setup"),
        files=(
            LeafFile(name="setup", version="", sha256=sha256(FILE).digest(), size_bytes=len(FILE)),
        ),
    )


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Publishing]:
    async with node(sqlite_url(tmp_path / "site.db"), tmp_path / "here") as made:
        folder = KeyFolder(made.folder / "keys")
        repository = TrustRepository(made.folder / "published", folder)
        keys = [CryptoSigner.generate_ed25519() for _ in range(2)]
        raw = [raw_public_key(key) for key in keys]
        change_keys(repository, "publisher", raw, 2, now=made.clock.now(), signers=keys)
        for key_id in folder.key_ids("publisher"):
            folder.remove("publisher", key_id)
        made.content.put(FILE)
        desk = DraftDesk(
            publisher=made.catalog,
            reading=made.storage,
            described=made.storage,
            details=made.details,
            decisions=made.storage,
            content=made.content,
            signer=DraftedRoles(repository),
            clock=made.clock,
        )
        yield Publishing(made, repository, desk, keys)


async def test_a_second_publisher_signs_the_draft_of_the_first(here: Publishing) -> None:
    one, two = here.keys
    first = await here.draft("sensor", "viewer")

    assert not await here.sign(first, one)
    assert here.published() == []
    again = await here.draft("viewer", "sensor")
    assert again.id == first.id
    assert await here.sign(again, two)
    assert here.published() == ["sensor", "viewer"]


async def test_neither_one_signature_nor_strange_ones_nor_none_put_anything_in_force(
    here: Publishing,
) -> None:
    one, _ = here.keys
    draft = await here.draft("sensor")

    assert not await here.sign(
        draft, one, CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
    )
    found = await here.desk.sign("anna", draft.id, b"")

    assert (found.keys, found.needed) == ({one.public_key.keyid}, 2)
    assert here.published() == []
    assert here.node.storage.update_details() == []
    with pytest.raises(KeysElsewhere):
        await here.node.publish("custom", a_leaf("implant"))
    assert here.published() == []


async def test_what_was_not_drafted_here_is_not_taken_whoever_signed_it(here: Publishing) -> None:
    draft = await here.draft("sensor")
    own = here.repository.draft(
        "publisher", {"publisher/custom/index": b"x"}, here.node.clock.now()
    )

    with pytest.raises(Refused, match="not the draft"):
        await here.desk.sign("anna", draft.id, sign_draft(own, here.keys))
    with pytest.raises(StaleRevision):
        await here.desk.sign("anna", b"x" * 16, sign_draft(draft.metadata, here.keys))


async def test_of_two_drafts_the_later_one_counts(here: Publishing) -> None:
    first = await here.draft("sensor")
    second = await here.draft("viewer")

    with pytest.raises(StaleRevision):
        await here.sign(first, *here.keys)
    assert await here.sign(second, *here.keys)
    assert here.published() == ["viewer"]


async def test_a_draft_that_nobody_signs_for_a_week_is_withdrawn_and_gives_its_claim_back(
    here: Publishing,
) -> None:
    one, two = here.keys
    reading = here.node.storage
    draft = await here.draft("sensor")
    here.node.clock.advance(days=6)
    assert not await here.sign(draft, one)
    here.node.clock.advance(days=6)
    await here.desk.step()
    assert (await here.draft("sensor")).id == draft.id

    here.node.clock.advance(days=1)
    await here.desk.step()
    await here.desk.step()

    assert read_record(reading.setting(RECORD + "custom")).claim == b""
    assert reading.leaves("custom", at=draft.serial) == []
    with pytest.raises(StaleRevision, match="was withdrawn on 2026-03-15, unsigned for a week"):
        await here.sign(draft, one, two)
    audit = [one for one in reading.audit(limit=1000) if one.operation == WITHDRAW]
    assert [one.actor for one in audit] == ["system"]
    again = await here.draft("sensor")
    assert again.id != draft.id
    assert await here.sign(again, one, two)
    assert here.published() == ["sensor"]


async def test_what_is_in_force_is_not_withdrawn_and_files_go_only_with_what_named_them(
    here: Publishing,
) -> None:
    draft = await here.draft("sensor")
    assert await here.sign(draft, *here.keys)
    content, file = here.node.content, sha256(FILE).hexdigest()
    here.node.clock.advance(days=400)
    await here.desk.step()
    assert here.published() == ["sensor"]
    assert WITHDRAW not in {one.operation for one in here.node.storage.audit(limit=1000)}

    own = an_update("viewer")
    content.put(b"another")
    other = LeafFile(name="o", version="", sha256=sha256(b"another").digest(), size_bytes=7)
    updates = [feed_update(_with_files(own, *own.files, other))]
    document = _put(here, write_publication(updates))
    await here.desk.draft("anna", document)
    here.node.clock.advance(days=36_500)  # beyond the true time of any run
    await here.desk.step()

    assert not content.path(document.hex()).exists()
    assert not content.path(other.sha256.hex()).exists()
    assert content.path(file).exists()


async def test_it_is_revised_taken_back_and_published_again_under_its_old_number(
    here: Publishing,
) -> None:
    await here.sign(await here.draft("sensor", "viewer"), *here.keys)
    number = _numbers(here)["sensor"]
    unchanged = await here.desk.draft("anna", here.document("sensor"))
    texts = await here.desk.draft("anna", here.document("sensor", text="better"))

    assert [one.change for one in unchanged.changed] == [Change.UNCHANGED]
    assert ([one.change for one in texts.changed], texts.draft) == ([Change.REVISED], None)
    assert _details(here)["sensor"].description == "better"

    here.node.clock.advance(seconds=60)
    other = _put(here, write_publication([feed_update(replace(an_update("viewer"), title="V"))]))
    [changed] = (await here.desk.draft("anna", other)).changed
    assert (changed.change, changed.details.revision) == (Change.REVISED, 2)
    assert _details(here)["viewer"].revision == 1

    sensor = update_id("publisher", "sensor")
    await here.sign(await here.draft(expired=(sensor,)), *here.keys)
    assert here.published() == ["viewer"]
    assert _details(here)["sensor"].expired_at is not None

    await here.sign(await here.draft("sensor"), *here.keys)
    assert here.published() == ["sensor", "viewer"]
    assert _numbers(here)["sensor"] == number
    assert _details(here)["sensor"].expired_at is None


async def test_what_ended_between_the_decision_and_the_signature_is_made_good_at_the_next_start(
    here: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(signed: Mapping[str, bytes], now: datetime) -> None:
        raise OSError(28, "no space left on device")

    signer = here.node.catalog._files.signer
    draft = await here.draft("sensor")
    with monkeypatch.context() as broken:
        broken.setattr(signer, "accept", full)
        with pytest.raises(OSError, match="no space"):
            await here.sign(draft, *here.keys)
        assert here.published() == []

    await here.node.catalog.catch_up()

    assert here.published() == ["sensor"]


async def test_a_publication_of_what_is_not_here_or_not_the_publishers_is_refused(
    here: Publishing,
) -> None:
    stranger = an_update("sensor")
    file = LeafFile(name="setup", version="", sha256=bytes(32), size_bytes=1)
    missing = feed_update(_with_files(stranger, file))
    unknown = update_id("feed", "openssl")

    with pytest.raises(InvalidDocument, match="setup is not on this server"):
        await here.desk.draft("anna", _put(here, write_publication([missing])))
    with pytest.raises(InvalidDocument, match="is no custom update here"):
        await here.draft(expired=(unknown,))


def _with_files(update: CustomUpdate, *files: LeafFile) -> CustomUpdate:
    return replace(update, files=files)


def _put(here: Publishing, document: bytes) -> bytes:
    return bytes.fromhex(here.node.content.put(document))


def _numbers(here: Publishing) -> dict[str, int]:
    serial = here.node.catalog.serials()["custom"]
    updates = {update_id("publisher", name).bytes: name for name in ("sensor", "viewer")}
    return {updates[x.update]: x.number for x in here.node.storage.leaves("custom", at=serial)}


def _details(here: Publishing) -> dict[str, UpdateDetails]:
    return {one.vendor_id: one for one in here.node.storage.update_details()}
