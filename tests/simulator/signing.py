"""What tests do with a site's signed repository that no server does by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from securesystemslib.signer import Signer

from patchtide.adapters.trust.layout import OFFLINE
from patchtide.adapters.trust.repository import TrustRepository


def first_root(repository: TrustRepository) -> bytes:
    """Return version 1 of the root, which a machine may have embedded."""
    return (repository._files._metadata / "1.root.json").read_bytes()


def keys_on_server(repository: TrustRepository, now: datetime) -> set[str]:
    """Return the offline roles that the server could sign for by itself."""
    standing = {x.role: x for x in repository.status(now)}
    return {role for role in OFFLINE if standing[role].keys_here >= standing[role].threshold}


def change_keys(
    repository: TrustRepository,
    role: str,
    keys: Sequence[bytes],
    threshold: int,
    *,
    now: datetime,
    signers: Sequence[Signer],
) -> None:
    """Have other keys count for the role; `signers` hold them, and what else must sign."""
    drafts = repository.draft_threshold(role, keys, threshold, now, keep=False)
    repository.accept(repository.signed_here(drafts, signers), now)
