"""The site as its agents' plane sees it: keys of its own, and what it has published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from patchtide.adapters.sodium.verifier import signer
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.server.trust_watch import Delegation

READ_EVERY_S = 1.0


class PublishedSite:
    """What changes only with a publication is kept in memory until the next one."""

    def __init__(self, name: str, answers: Ed25519PrivateKey, repository: TrustRepository) -> None:
        self.name = name
        self.answer_key = answers.public_key().public_bytes_raw()
        self.sign_answer = signer(answers)
        self._repository = repository
        self.announce: Callable[[], None] = lambda: None
        """Called when machines should come for something new."""
        self._reading: asyncio.Task[None] | None = None
        self._read_at = -READ_EVERY_S
        self._mark: object = None
        self._delegations: Mapping[str, Delegation] = {}
        self._serials: Mapping[str, int] = {}
        self.published(self._serials)

    def published(self, serials: Mapping[str, int]) -> None:
        """Take note of what is published now."""
        is_news = self._serials != serials
        self._root = self._repository.root()
        self._digests = self._repository.metadata_digests()
        self._serials = dict(serials)  # last: what fails half way is told anew
        if is_news:
            self.announce()

    def look_again(self) -> Mapping[str, Delegation]:
        """Take note of a root that came without a publication; return who may sign."""
        self._root = self._repository.root()
        mark = self._repository.mark()
        if mark != self._mark:
            self._delegations = {
                role: Delegation(version=version, signers=signers)
                for role, (version, signers) in self._repository.delegations().items()
            }
            self._mark = mark
        return self._delegations

    def root(self) -> tuple[int, bytes]:
        return self._root

    def serials(self) -> Mapping[str, int]:
        return self._serials

    async def knows_metadata(self, role: str, digest: bytes) -> bool:
        # A machine may have fetched what was published a moment ago, or by another node.
        if (role, digest) not in self._digests:
            if self._reading is None:
                self._reading = asyncio.create_task(self._read_again())
            await asyncio.shield(self._reading)
        return (role, digest) in self._digests

    async def _read_again(self) -> None:
        """Read the log of publications, which is long: once a second, whoever asks for it."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(self._read_at + READ_EVERY_S - clock())
        self._reading, self._read_at = None, clock()
        self._digests = await asyncio.to_thread(self._repository.metadata_digests)
