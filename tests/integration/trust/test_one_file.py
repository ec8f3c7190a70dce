"""What a publisher signs changes one file of his role, and nothing else that machines go by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Targets

from patchtide.adapters.trust.drafts import read_draft
from patchtide.adapters.trust.keys import KeyFolder, public_key, raw_public_key
from patchtide.adapters.trust.layout import Signable, no_delegations
from patchtide.adapters.trust.proofreading import check_one_file
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.domain.errors import Refused
from tests.simulator.clock import START

INDEX, OTHER = "publisher/custom/index", "publisher/keys/vendor"
DATA = b"what was looked at"


@pytest.fixture
def repository(tmp_path: Path) -> TrustRepository:
    made = TrustRepository(tmp_path / "published", KeyFolder(tmp_path / "keys"))
    made.create(START)
    made.publish("publisher", {INDEX: b"before", OTHER: b"key"}, START)
    return made


def look(repository: TrustRepository, after: Signable) -> None:
    before = repository.state()["publisher"]
    check_one_file("publisher", before, after, path=INDEX, data=DATA)


def drafted(repository: TrustRepository, **files: bytes) -> Signable:
    named = {INDEX: DATA} | {f"publisher/{name}/x": data for name, data in files.items()}
    return read_draft(repository.draft("publisher", named, START))


def test_the_file_that_was_looked_at_alone_is_fine(repository: TrustRepository) -> None:
    look(repository, drafted(repository))


def an_old_version(draft: Signable) -> None:
    draft.signed.version -= 1


def another_file_gone(draft: Signable) -> None:
    del draft.signed.targets[OTHER]


def another_file_changed(draft: Signable) -> None:
    draft.signed.targets[OTHER].hashes["sha256"] = "0" * 64


def another_length(draft: Signable) -> None:
    draft.signed.targets[INDEX].length += 1


def a_second_digest(draft: Signable) -> None:
    draft.signed.targets[INDEX].hashes["sha512"] = "0" * 128


def a_file_outside(draft: Signable) -> None:
    draft.signed.targets["feeds/deb/index"] = draft.signed.targets[INDEX]


def a_delegation(draft: Signable) -> None:
    key = public_key(raw_public_key(CryptoSigner.generate_ed25519()))
    draft.signed.delegations = no_delegations()
    draft.signed.add_key(key, "feeds")


def the_role_that_delegates(draft: Signable) -> None:
    draft.signed = Targets(version=9, expires=draft.signed.expires, delegations=no_delegations())


TRICKS: list[Callable[[Signable], None]] = [
    an_old_version,
    another_file_gone,
    another_file_changed,
    another_length,
    a_second_digest,
    a_file_outside,
    a_delegation,
    the_role_that_delegates,
]


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.__name__)
def test_a_draft_that_says_anything_else_is_not_signed(
    repository: TrustRepository, trick: Callable[[Signable], None]
) -> None:
    draft = drafted(repository)
    trick(draft)

    with pytest.raises(Refused):
        look(repository, draft)


def test_a_draft_with_one_file_more_is_not_signed(repository: TrustRepository) -> None:
    with pytest.raises(Refused, match="it changes publisher/implant/x too"):
        look(repository, drafted(repository, implant=b"evil"))
