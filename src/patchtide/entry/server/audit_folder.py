"""The archive of audit segments: a folder with a file each, to be copied off this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from patchtide.adapters.trust.durable import private_folder, write_durably
from patchtide.server.ports.audit import AuditSegment


class AuditFolder:
    """Files are added and never replaced: a restored database cannot overwrite what was."""

    def __init__(self, folder: Path) -> None:
        self._folder = private_folder(folder)

    def keep(self, segment: AuditSegment) -> None:
        path = self._folder / name_of(segment)
        if not path.exists():
            write_durably(path, segment.body)

    def kept(self) -> Iterator[bytes]:
        for path in sorted(self._folder.glob("audit-*.jsonl")):
            yield path.read_bytes()


def name_of(segment: AuditSegment) -> str:
    """Return a name that sorts by place and tells two histories of the same entries apart."""
    return f"audit-{segment.first:012}-{segment.last:012}-{segment.hash[:6].hex()}.jsonl"
