"""The machine's own store of files, filled from its site and from nowhere else."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from patchtide.adapters.transport.download import Blob, Downloader, DownloadFailed, open_verified
from patchtide.agent.ports.web import Getter


class FetchedContent:
    """Files in `folder`, each under its digest; `url` is the server's address."""

    def __init__(self, folder: Path, url: str, getter: Getter) -> None:
        self._base = f"{url.rstrip('/')}/content/"
        self._downloader = Downloader(folder, getter)

    def fetch(self, digest: bytes, size: int) -> None:
        """See the port `Content`."""
        blob = Blob(digest=digest, size=size)
        try:
            self._downloader.fetch(blob, [self._base + blob.name])
        except DownloadFailed as error:
            said = "; ".join(f"{event.code} {event.detail}".strip() for event in error.events)
            raise DownloadFailed(f"{error} ({said})" if said else str(error)) from error

    def keep_only(self, digests: Collection[bytes]) -> None:
        """See the port `Content`."""
        self._downloader.keep_only(digests)

    def open(self, digest: bytes, size: int) -> int:
        """See the port `Content`."""
        return open_verified(self._downloader.path(Blob(digest=digest, size=size)), digest, size)
