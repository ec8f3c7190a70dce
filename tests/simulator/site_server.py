"""A site in one thread: real TLS, real trust repository, a plane that says what a test tells it.

It verifies every request's signature, and signs its answers, as the real plane does. What it
was sent is kept for the test to look at.
"""

from __future__ import annotations

import base64
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from patchtide.adapters.trust.keys import KeyFolder
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.adapters.trust.site_keys import open_site_keys
from patchtide.domain.catalog.leaves import Leaf
from patchtide.wire.leaves import encode_leaf
from patchtide.wire.messages import (
    CheckInAnswerV1,
    CheckInV1,
    EnrolledV1,
    EnrolV1,
    JumpV1,
    ReportV1,
    decode,
    encode,
)
from patchtide.wire.request_signature import Request, answer_base, brief, read_signature
from patchtide.wire.shard_plan import target_of
from patchtide.wire.shards import (
    BaseFileV1,
    DeltaFileV1,
    Leaves,
    ShardIndexV1,
    digest_of,
    make_base,
    pack_document,
)
from tests.simulator.shard_steps import make_step
from tests.simulator.signing import first_root

LINEAGE = bytes(range(16))
CLIENT = bytes(range(100, 116))
SECRET = "s" * 32
Answer = tuple[int, bytes, dict[str, str]]


@dataclass
class Site:
    """What the server publishes and what it was told."""

    folder: Path
    port: int = 0
    check_ins: list[CheckInV1] = field(default_factory=list)
    reports: list[ReportV1] = field(default_factory=list)
    next_answers: deque[Answer] = field(default_factory=deque)
    """Answers that come before the ordinary ones."""
    signs: bool = True
    public_key: bytes = b""
    serials: dict[str, int] = field(default_factory=dict)
    content: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    _indexes: dict[str, ShardIndexV1] = field(default_factory=dict)
    _leaves: dict[str, Leaves] = field(default_factory=dict)

    def __post_init__(self) -> None:
        now = datetime.now(UTC)
        self.keys = open_site_keys(self.folder / "keys", site="main", names=["127.0.0.1"], now=now)
        self.repository = TrustRepository(
            self.folder / "repository", KeyFolder(self.folder / "tuf")
        )
        self.repository.create(now)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return f"pt1.t1.{SECRET}.{self.keys.ca_digest}"

    def publish(self, shard: str, *leaves: Leaf) -> None:
        """Put these leaves in force as the shard's next serial."""
        serial = self.serials.get(shard, 0) + 1
        before, index = self._leaves.get(shard, {}), self._indexes.get(shard)
        after = {leaf.number: encode_leaf(leaf) for leaf in leaves}
        base, deltas = self._base(shard, serial, after), ()
        if index is not None:
            step = make_step(LINEAGE, shard, serial=serial - 1, before=before, after=after)
            packed = pack_document(step)
            size, digest = self._put(packed)
            deltas = (*index.deltas, DeltaFileV1(serial - 1, serial, size, digest))
        self._indexes[shard] = ShardIndexV1(
            lineage=LINEAGE, shard=shard, serial=serial, digest=digest_of(LINEAGE, after),
            base=base, deltas=deltas,
        )  # fmt: skip
        self._leaves[shard] = after
        self.serials[shard] = serial
        role, _, _ = target_of(shard).partition("/")
        files = {target_of(shard): encode(self._indexes[shard])}
        self.repository.publish(role, files, datetime.now(UTC))

    def _base(self, shard: str, serial: int, leaves: Leaves) -> BaseFileV1:
        packed = pack_document(make_base(LINEAGE, shard, serial=serial, leaves=leaves))
        return BaseFileV1(serial, *self._put(packed))

    def _put(self, data: bytes) -> tuple[int, bytes]:
        digest = sha256(data)
        self.content[digest.hexdigest()] = data
        return len(data), digest.digest()

    def answer(self, request: Request, headers: Any) -> Answer:
        raw = [(name.encode(), value.encode()) for name, value in headers]
        authority = f"127.0.0.1:{self.port}"
        claim = read_signature(
            request, raw, authorities=frozenset({authority}), now=datetime.now(UTC).timestamp()
        )
        if request.path == "/agent/v1/enrol":
            asked = decode(request.body, EnrolV1)
            self.public_key = asked.public_key
        Ed25519PublicKey.from_public_bytes(self.public_key).verify(claim.signature, claim.base)
        status, body, extra = self._decided(request)
        if self.signs:
            poll_s = int(extra.get("Patchtide-Next-Poll", 0))
            said = brief(poll_s=poll_s, root_version=0) if status == 204 else body
            base = answer_base(request_signature=claim.signature, status=status, body=said)
            extra = {
                **extra,
                "Patchtide-Signature": base64.b64encode(self.keys.answers.sign(base)).decode(),
            }
        return status, body, extra

    def _decided(self, request: Request) -> Answer:
        match request.path:
            case "/agent/v1/enrol":
                return self._enrolled(decode(request.body, EnrolV1))
            case "/agent/v1/checkin":
                self.check_ins.append(decode(request.body, CheckInV1))
                return self.next_answers.popleft() if self.next_answers else self._news()
            case _:
                self.reports.append(decode(request.body, ReportV1))
                return self.next_answers.popleft() if self.next_answers else (202, b"", {})

    def _enrolled(self, asked: EnrolV1) -> Answer:
        if not asked.token.startswith(f"pt1.t1.{SECRET}"):
            return 403, b"", {}
        answer = EnrolledV1(
            client=CLIENT,
            site="main",
            root=first_root(self.repository),
            answer_key=self.keys.answers.public_key().public_bytes_raw(),
        )
        return 200, encode(answer), {}

    def _news(self) -> Answer:
        said = self.check_ins[-1]
        newer = {n: s for n, s in self.serials.items() if n in said.shards and said.shards[n] != s}
        if not newer:
            return 204, b"", {"Patchtide-Next-Poll": "3600"}
        return 200, encode(CheckInAnswerV1(next_poll_s=3600, shards=newer)), {}

    def file(self, path: str) -> bytes | None:
        self.fetched.append(path)
        if path.startswith("/content/"):
            return self.content.get(path.removeprefix("/content/"))
        place = self.folder / "repository" / path.removeprefix("/catalog/")
        return place.read_bytes() if place.is_file() else None


S = TypeVar("S", bound=Site)


def jump(expected: int) -> Answer:
    return 409, encode(JumpV1(expected=expected, nonce=bytes(16))), {}


@contextmanager
def running(folder: Path, kind: type[S] = Site) -> Iterator[S]:  # type: ignore[assignment]
    site = kind(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(site))
    server.daemon_threads = True
    site.port = server.server_address[1]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(site.keys.server_chain, site.keys.server_key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            request = Request(
                method="POST", authority=self.headers["host"], path=self.path, body=body
            )
            status, answer, extra = site.answer(request, self.headers.items())
            self._send(status, answer, extra)

        def do_GET(self) -> None:
            if self.path in site.redirects:
                self._send(302, b"", {"Location": site.redirects[self.path]})
                return
            data = site.file(self.path)
            self._send(404 if data is None else 200, data or b"", {})

        def _send(self, status: int, body: bytes, extra: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    return Handler
