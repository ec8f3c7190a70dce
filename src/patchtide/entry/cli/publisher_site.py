"""A site as its publisher's machine sees it: what is signed there, checked by keys and floors.

The site's first root is named by whoever signs, when this machine sees the site for the first time,
and kept; from then on only what that root leads to is believed, and nothing older than before. The
server is not asked which root is the right one: it is the one to look out for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from patchtide.adapters.transport.blobs import ContentBlobs
from patchtide.adapters.transport.https import HttpsGetter
from patchtide.adapters.transport.lines import Lines
from patchtide.adapters.trust.client import TrustClient
from patchtide.adapters.trust.drafts import read_draft
from patchtide.adapters.trust.durable import private_folder, write_durably
from patchtide.adapters.trust.layout import PUBLISHER, Signable
from patchtide.agent.ports.trust import TargetAbsent
from patchtide.agent.ports.web import TransferFailed
from patchtide.domain.errors import InvalidDocument, PatchtideError, Problem
from patchtide.entry.cli.client import Answer, Client, Unreachable
from patchtide.server.operations import OPERATIONS
from patchtide.wire.shard_draft import Standing, read_standing
from patchtide.wire.shard_plan import target_of
from patchtide.wire.shards import MAX_INDEX_BYTES, read_index

SHARD = "custom"
TOO_OFTEN = 429
PATIENCE_S = 60
_ROOT_BYTES = 1 << 20
_TOTAL_S, _STALL_S = 60.0, 30.0


class ServerSaysNo(PatchtideError):
    """The server refused a step of the command."""

    code = "server-says-no"

    def __init__(self, said_code: str, detail: str) -> None:
        self.said_code = said_code
        super().__init__(f"{said_code}: {detail}" if said_code else detail)


class RootUnknown(PatchtideError):
    """Nobody has told this machine by which root the site is known."""

    code = "root-unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What this machine is told of the site's first root."""

    file: Path | None = None
    sha256: str | None = None
    is_needed: bool = True
    """No, where nothing is signed here and so nothing is vouched for."""


class PublisherSite:
    """One site. Close it after use."""

    def __init__(self, client: Client, folder: Path, known: Known) -> None:
        self._client = client
        self._getter = HttpsGetter(Lines(client.context))
        self._blobs = ContentBlobs(client.url, self._getter)
        parts = urlsplit(client.url)
        own = private_folder(folder / f"{parts.hostname}-{parts.port or 443}".replace(":", "_"))
        catalog = f"{client.url}/catalog"
        self._trust = TrustClient(
            own,
            self._first_root(own / "first-root.json", known),
            metadata_url=f"{catalog}/metadata",
            targets_url=f"{catalog}/targets",
            getter=self._getter,
            build_time=0.0,
        )

    def close(self) -> None:
        self._trust.close()
        self._client.close()

    def standing(self, now: float) -> Standing:
        """Return what the publisher's role has signed, and no older than what was seen before.

        Raises:
            TrustRefused, RepositoryUnreachable, ContentRefused: it is not what it should be.
        """
        self._trust.refresh(now)
        try:
            signed = self._trust.read_target(target_of(SHARD), MAX_INDEX_BYTES)
        except TargetAbsent:
            return Standing()
        index = read_index(signed, lineage=None, shard=SHARD)
        return read_standing(index, self.content)

    def in_force(self) -> Signable | None:
        """Return the publisher's metadata that `standing` was read from."""
        data = self._trust.metadata(PUBLISHER)
        return read_draft(data) if data else None

    def content(self, digest: bytes, at_most: int) -> bytes:
        return self._blobs.read(digest, at_most=at_most)

    def ask(self, operation: str, **values: Any) -> Any:
        """Return the answer, decoded.

        Raises:
            ServerSaysNo, InvalidDocument: the answer is a refusal.
            Unreachable: there is none.
        """
        answer = self._client.ask(OPERATIONS[operation], values)
        for _ in range(PATIENCE_S):
            if answer.status != TOO_OFTEN:
                break
            time.sleep(1)  # a folder has more files than a server answers questions in a second
            answer = self._client.ask(OPERATIONS[operation], values)
        return said_by(answer)

    def bring(self, digest: str, path: Path) -> bool:
        """Have a file on the server; say whether anything of it had to be brought."""
        known = self.ask("publisher.file", sha256=digest)
        if known["is_whole"]:
            return False
        with path.open("rb") as file:
            size = file.seek(0, 2)
            offset = known["size"] if known["size"] <= size else 0
            file.seek(offset)
            values = {"sha256": digest, "size": size, "offset": offset}
            said_by(self._client.send(OPERATIONS["publisher.upload"], values, file))
        return True

    def _first_root(self, kept: Path, known: Known) -> bytes:
        if known.file is not None:
            root = known.file.read_bytes()
        elif kept.exists():
            root = kept.read_bytes()
        else:
            root = self._fetched("/catalog/metadata/1.root.json")
            if known.is_needed and known.sha256 is None:
                raise RootUnknown(_first_time(self._client.url, root))
        if known.sha256 is not None and sha256(root).hexdigest() != known.sha256.lower():
            raise RootUnknown(
                f"its first root is {sha256(root).hexdigest()}, not the one you named"
            )
        write_durably(kept, root)
        return root

    def _fetched(self, path: str) -> bytes:
        data = bytearray()
        url = f"{self._client.url}{path}"
        try:
            with self._getter.get(url, total_s=_TOTAL_S, stall_s=_STALL_S) as reply:
                for chunk in _of_file(reply.status, reply.chunks):
                    data += chunk
                    if len(data) > _ROOT_BYTES:
                        raise Unreachable(f"{url} has no end")
        except TransferFailed as error:
            raise Unreachable(f"{url}: {error}") from error
        return bytes(data)


@contextmanager
def open_site(client: Client, folder: Path, known: Known) -> Iterator[PublisherSite]:
    site = PublisherSite(client, folder, known)
    try:
        yield site
    finally:
        site.close()


def _first_time(url: str, root: bytes) -> str:
    return (
        f"this machine signs for {url} for the first time, which says that its first root is"
        f" {sha256(root).hexdigest()}; compare that with `first_root` of `patchtide trust status`"
        " on the server, and name it with --root-sha256"
    )


def _of_file(status: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if status != 200:
        raise TransferFailed(f"status {status}")
    return chunks


def said_by(answer: Answer) -> Any:
    """Return what an answer says, decoded.

    Raises:
        ServerSaysNo, InvalidDocument: it is a refusal.
    """
    try:
        said = msgspec.json.decode(answer.body) if answer.body else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = {"detail": answer.body[:300].decode("utf-8", "replace")}
    if answer.is_done:
        return said
    problems = [Problem(str(p.get("where")), str(p.get("what"))) for p in said.get("problems", ())]
    if problems:
        raise InvalidDocument(problems)
    raise ServerSaysNo(str(said.get("code", "")), str(said.get("detail", "")))
