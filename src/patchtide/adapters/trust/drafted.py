"""Drafts of one repository that wait for signatures from elsewhere, and how far they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from patchtide.adapters.trust.drafts import (
    counted_signatures,
    counting_keys,
    merge_signatures,
    read_draft,
)
from patchtide.adapters.trust.repository import TrustRepository


class DraftedRoles:
    """See the port `DraftSigner`. It keeps nothing: whoever asks holds the draft."""

    def __init__(self, repository: TrustRepository) -> None:
        self._repository = repository

    def draft(self, role: str, files: Mapping[str, bytes], now: datetime) -> bytes:
        return self._repository.draft(role, files, now)

    def is_next(self, role: str, draft: bytes) -> bool:
        return bool(read_draft(draft).signed.version > self._repository.version(role))

    def with_signatures(self, role: str, draft: bytes, signed: bytes) -> bytes:
        counting = counting_keys(self._repository.state(), {}, role)
        return merge_signatures(draft, signed, counting)

    def signed_here(self, role: str, draft: bytes) -> bytes:
        return self._repository.signed_here({role: draft})[role]

    def signatures(self, role: str, draft: bytes) -> tuple[frozenset[str], int]:
        return counted_signatures(self._repository.state(), role, draft)
