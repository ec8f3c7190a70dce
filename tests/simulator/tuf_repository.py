"""A TUF repository that its owner, or whoever stole a key, can bend as they like.

Built on the metadata API alone and served over loopback: what the publisher's own code would
never write can be written here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
TOP = ("root", "timestamp", "snapshot", "targets")
Signable = Metadata[Any]
Bend = Callable[[bytes], bytes]


class TufRepository:
    """Roles as metadata objects; `publish` signs and serves what they say at that moment."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.bent: dict[str, Bend] = {}
        """Path -> what the network makes of its bytes."""
        self.drip: set[str] = set()
        """Paths that are sent a byte at a time, without end."""
        self.statuses: dict[str, int] = {}
        self.signers: dict[str, list[CryptoSigner]] = {role: [] for role in TOP}
        later = now + timedelta(days=30)
        self.root = Metadata(Root(expires=later))
        self.targets = Metadata(Targets(expires=later, delegations=Delegations({}, {})))
        self.snapshot = Metadata(Snapshot(version=0 + 1, expires=later))
        self.timestamp = Metadata(Timestamp(version=1, expires=now + timedelta(days=7)))
        self.delegated: dict[str, Signable] = {}
        for role in TOP:
            self.add_key(role)
        self.publish_root()
        self.publish(bump=False)

    @property
    def first_root(self) -> bytes:
        return self.files["/metadata/1.root.json"]

    def add_key(self, role: str) -> CryptoSigner:
        signer = CryptoSigner.generate_ed25519()
        self.signers.setdefault(role, []).append(signer)
        parent = self.root if role in TOP else self.targets
        parent.signed.add_key(signer.public_key, role)
        return signer

    def drop_key(self, role: str, index: int = 0) -> CryptoSigner:
        signer = self.signers[role].pop(index)
        parent = self.root if role in TOP else self.targets
        parent.signed.revoke_key(signer.public_key.keyid, role)
        return signer

    def rotate(self, role: str) -> None:
        """Replace the role's keys by a new one and publish a root that says so."""
        old = self.drop_key(role)
        self.add_key(role)
        self.publish_root([old] if role == "root" else [], bump=True)

    def delegate(self, role: str, *paths: str, terminating: bool = False) -> None:
        self.delegated[role] = Metadata(Targets(expires=self.now + timedelta(days=30)))
        assert self.targets.signed.delegations is not None
        self.targets.signed.delegations.roles[role] = DelegatedRole(
            role, [], 1, terminating=terminating, paths=list(paths)
        )
        self.add_key(role)

    def add_target(self, role: str, path: str, data: bytes) -> None:
        info = TargetFile.from_data(path, data, ["sha256"])
        metadata = self.targets if role == "targets" else self.delegated[role]
        metadata.signed.targets[path] = info
        folder, _, name = path.rpartition("/")
        place = f"{folder}/" if folder else ""
        self.files[f"/targets/{place}{info.hashes['sha256']}.{name}"] = data

    def publish_root(self, extra: list[CryptoSigner] | None = None, *, bump: bool = False) -> None:
        if bump:
            self.root.signed.version += 1
        data = self.signed(self.root, [*self.signers["root"], *(extra or [])])
        self.files[f"/metadata/{self.root.signed.version}.root.json"] = data

    def publish(self, *, bump: bool = True) -> None:
        """Publish targets, delegated roles, snapshot and timestamp, each one version further."""
        if bump:
            for metadata in (self.targets, *self.delegated.values()):
                metadata.signed.version += 1
        for role, metadata in (("targets", self.targets), *self.delegated.items()):
            self.put(role, metadata)
        self.publish_snapshot(bump=bump)

    def publish_snapshot(self, *, bump: bool = True) -> None:
        if bump:
            self.snapshot.signed.version += 1
        self.timestamp.signed.snapshot_meta = self.put("snapshot", self.snapshot, meta=False)
        self.publish_timestamp(bump=bump)

    def publish_timestamp(self, *, bump: bool = True) -> None:
        if bump:
            self.timestamp.signed.version += 1
        data = self.signed(self.timestamp, self.signers["timestamp"])
        self.files["/metadata/timestamp.json"] = data

    def put(self, role: str, metadata: Signable, *, meta: bool = True) -> MetaFile:
        data = self.signed(metadata, self.signers[role])
        version = metadata.signed.version
        self.files[f"/metadata/{version}.{role}.json"] = data
        found = MetaFile.from_data(version, data, ["sha256"])
        if meta:
            self.snapshot.signed.meta[f"{role}.json"] = found
        return found

    @staticmethod
    def signed(metadata: Signable, signers: list[CryptoSigner]) -> bytes:
        metadata.signatures.clear()
        for signer in signers:
            metadata.sign(signer, append=True)
        return metadata.to_bytes()

    def copy_files(self) -> dict[str, bytes]:
        return dict(self.files)

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve on a loopback port; yields the base address."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        repository = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                repository.requests.append(self.path)
                data = repository.files.get(self.path)
                status = repository.statuses.get(self.path, 200 if data is not None else 404)
                if self.path in repository.drip:
                    self._drip()
                elif status != 200 or data is None:
                    self.send_response(status)
                    self.send_header("location", "/metadata/elsewhere.json")
                    self.send_header("content-length", "0")
                    self.end_headers()
                else:
                    self._whole(repository.bent.get(self.path, bytes)(data))

            def _whole(self, data: bytes) -> None:
                self.send_response(200)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                try:
                    self.wfile.write(data)
                except OSError:
                    self.close_connection = True

            def _drip(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.close_connection = True
                for _ in range(200):
                    try:
                        self.wfile.write(b"{")
                        self.wfile.flush()
                    except OSError:
                        return
                    time.sleep(0.05)

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        return Handler
