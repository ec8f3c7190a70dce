"""The agents' plane in one process: real storage, real signatures, no socket, a clock by hand."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from patchtide.adapters.http.agents_plane import AgentsPlane
from patchtide.adapters.sodium.verifier import Verifier, verify
from patchtide.server.admission import Door, Verify
from patchtide.server.checkins import CheckIns
from patchtide.server.clones import CloneWatch
from patchtide.server.divergence import Divergence
from patchtide.server.enrolment import Enrolment
from patchtide.server.inventories import Inventories
from patchtide.server.ports.clients import EnrolmentToken
from patchtide.server.reports import ReportIntake
from patchtide.server.standings import Standings
from patchtide.server.token_book import TokenBook
from patchtide.server.token_vouching import Places, nowhere
from patchtide.server.told_agents import ToldAgents
from patchtide.server.told_platforms import ToldPlatforms
from patchtide.wire.messages import (
    ChangesV1,
    CheckInV1,
    EnrolledV1,
    EnrolV1,
    FullV1,
    ReportV1,
    decode,
    encode,
)
from patchtide.wire.request_signature import Request, answer_base, brief, sign_request
from patchtide.wire.sets import encode_set, pack, state_digest
from tests.simulator.clock import FakeClock
from tests.simulator.token_maker import MAKER, let_in_maker

AUTHORITY = "localhost:8540"
LINEAGE = bytes(range(16))
_PATHS = {
    "agents.enrol": "/agent/v1/enrol",
    "agents.checkin": "/agent/v1/checkin",
    "agents.report": "/agent/v1/report",
    "agents.inventory": "/agent/v1/inventory",
}


class FakeSite:
    """A site whose catalog is a table of serials."""

    name = "main"

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.published: dict[str, int] = {"debian-12": 3}
        self.metadata: set[tuple[str, bytes]] = set()

    @property
    def answer_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign_answer(self, base: bytes) -> bytes:
        return self._key.sign(base)

    def root(self) -> tuple[int, bytes]:
        return 1, b'{"root": 1}'

    def serials(self) -> Mapping[str, int]:
        return self.published

    async def knows_metadata(self, role: str, digest: bytes) -> bool:
        return (role, digest) in self.metadata


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, its server's signature already verified."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    is_signed: bool


@dataclass
class PlaneUnderTest:
    storage: Any
    clock: FakeClock = field(default_factory=FakeClock)
    site: FakeSite = field(default_factory=FakeSite)
    verify: Verify = field(default_factory=Verifier)
    places: Places = nowhere

    def __post_init__(self) -> None:
        self.start_node()

    def start_node(self) -> None:
        """Start (again): memory is empty, the database is what it was."""
        self.standings = Standings(self.storage)
        self.standings.load()
        self.inventories = Inventories(self.storage, self.storage)
        self.inventories.load()
        self.told = ToldAgents()
        self.platforms = ToldPlatforms(
            reading=self.storage, decisions=self.storage, clock=self.clock
        )
        door = Door(
            self.standings,
            self.verify,
            authorities=frozenset({AUTHORITY}),
            started=self.clock.now().timestamp(),
            burst=1000,
        )
        clones = CloneWatch(decisions=self.storage, standings=self.standings)
        plane = AgentsPlane(
            door=door,
            enrolment=Enrolment(
                decisions=self.storage,
                standings=self.standings,
                site=self.site,
                verify=self.verify,
                tokens=TokenBook(self.storage),
                places=self.places,
            ),
            checkins=CheckIns(
                door=door,
                standings=self.standings,
                site=self.site,
                divergence=Divergence(self.site, self.storage),
                clones=clones,
                inventories=self.inventories,
                clock=self.clock,
                told=self.told,
                platforms=self.platforms,
            ),
            intake=ReportIntake(
                reports=self.storage,
                door=door,
                standings=self.standings,
                clones=clones,
                inventories=self.inventories,
                clock=self.clock,
            ),
            site=self.site,
            clock=self.clock,
        )
        self.handlers = plane.handlers()

    async def token(self, *, uses: int = 1, approve: bool = False, site: str = "main") -> str:
        """Return the text of a new enrolment token."""
        token_id, secret = secrets.token_hex(4), secrets.token_hex(16)
        now = self.clock.now()
        token = EnrolmentToken(
            id=token_id,
            secret_hash=sha256(secret.encode()).digest(),
            site=site,
            group="",
            uses_left=uses,
            approve=approve,
            created_at=now,
            expires_at=now + timedelta(hours=24),
            created_by=MAKER,
        )

        def work(tx: Any) -> None:
            let_in_maker(tx, now=now)
            tx.add_enrolment_token(token)
            tx.note(token_id)

        await self.storage.decide("test", "tokens.create", work, now=now)
        return f"pt1.{token_id}.{secret}.{'0' * 64}"

    async def post(
        self, operation: str, message: Struct, *, key: Ed25519PrivateKey, key_id: str, counter: int
    ) -> Said:
        body = encode(message)
        request = Request(method="POST", authority=AUTHORITY, path=_PATHS[operation], body=body)
        signed = sign_request(
            request,
            key.sign,
            key_id=key_id,
            counter=counter,
            created=int(self.clock.now().timestamp()),
        )
        scope = {
            "type": "http",
            "method": "POST",
            "raw_path": request.path.encode(),
            "query_string": b"",
            "headers": [(b"host", AUTHORITY.encode())]
            + [(name.encode(), value.encode()) for name, value in signed],
            "client": ("127.0.0.1", 1),
        }
        said = await _call(self.handlers[operation], scope, body)
        signature = base64.b64decode(dict(signed)["signature"][5:-1])
        return self._checked(said, signature)

    def _checked(self, said: Said, request_signature: bytes) -> Said:
        stated = said.headers.get("patchtide-signature")
        if stated is None:
            return said
        body = said.body
        if said.status == 204:
            poll_s, root = (int(said.headers[f"patchtide-{n}"]) for n in ("next-poll", "root"))
            body = brief(poll_s=poll_s, root_version=root)
        base = answer_base(request_signature=request_signature, status=said.status, body=body)
        assert verify(self.site.answer_key, base64.b64decode(stated), base)
        return Said(said.status, said.body, said.headers, True)


async def _call(application: Any, scope: dict[str, Any], body: bytes) -> Said:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    start, rest = sent[0], sent[1:]
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Said(start["status"], b"".join(m["body"] for m in rest), headers, False)


class MachineUnderTest:
    """A machine that speaks by hand, so that it can also speak wrongly."""

    def __init__(self, plane: PlaneUnderTest, *, name: str = "m", boot: str = "boot-1") -> None:
        self.plane = plane
        self.name = name
        self.boot = boot
        self.key = Ed25519PrivateKey.generate()
        self.machine = sha256(secrets.token_bytes(8)).digest()
        self.counter = 0
        self.client = b""

    def copy(self) -> MachineUnderTest:
        """Return a clone of the disk: same key, same counter."""
        twin = MachineUnderTest(self.plane, name=self.name, boot=self.boot)
        twin.key, twin.machine = self.key, self.machine
        twin.counter, twin.client = self.counter, self.client
        return twin

    def next_counter(self) -> int:
        self.counter += 1
        return self.counter

    @property
    def key_id(self) -> str:
        return str(UUID(bytes=self.client))

    async def enrol(self, token: str) -> Said:
        public = self.key.public_key().public_bytes_raw()
        asked = EnrolV1(token=token, public_key=public, machine=self.machine, name=self.name)
        said = await self.plane.post(
            "agents.enrol",
            asked,
            key=self.key,
            key_id=sha256(public).hexdigest(),
            counter=self.next_counter(),
        )
        if said.status == 200:
            self.client = decode(said.body, EnrolledV1).client
        return said

    async def check_in(self, **fields: Any) -> Said:
        counter = fields.pop("counter", None) or self.next_counter()
        message = CheckInV1(counter=counter, **fields)
        return await self.post("agents.checkin", message, counter)

    async def report(self, *, required: set[int], counter: int = 0, **fields: Any) -> Said:
        """Report everything: `required` is required, nothing else is known."""
        counter = counter or self.next_counter()
        data = encode_set(required)
        message = ReportV1(
            counter=counter,
            lineage=LINEAGE,
            shards={"debian-12": 3},
            digest=digest_of(required),
            full=FullV1(required=pack(data)),
            boot_id=self.boot,
            **fields,
        )
        return await self.post("agents.report", message, counter)

    async def report_no_catalog(self) -> Said:
        """Report that there was nothing to hold the facts against."""
        counter = self.next_counter()
        message = ReportV1(
            counter=counter,
            lineage=bytes(16),
            shards={},
            digest=bytes(32),
            boot_id=self.boot,
            scan="waiting-catalog",
        )
        return await self.post("agents.report", message, counter)

    async def report_changes(
        self,
        *,
        before: set[int],
        added: set[int],
        gone: set[int] = frozenset(),  # type: ignore[assignment]
    ) -> Said:
        counter = self.next_counter()
        message = ReportV1(
            counter=counter,
            lineage=LINEAGE,
            shards={"debian-12": 3},
            digest=digest_of((before | added) - gone),
            changes=ChangesV1(
                base=digest_of(before),
                required=pack(encode_set(added)),
                gone=pack(encode_set(gone)),
            ),
            boot_id=self.boot,
        )
        return await self.post("agents.report", message, counter)

    async def post(self, operation: str, message: Struct, counter: int) -> Said:
        return await self.plane.post(
            operation, message, key=self.key, key_id=self.key_id, counter=counter
        )


def digest_of(required: set[int]) -> bytes:
    return state_digest(lineage=LINEAGE, required=encode_set(required), installed=b"", unknown=b"")


async def enrolled(plane: PlaneUnderTest, *, name: str = "m") -> MachineUnderTest:
    machine = MachineUnderTest(plane, name=name)
    said = await machine.enrol(await plane.token())
    assert said.status == 200, said
    return machine


async def at_once(*calls: Any) -> list[Said]:
    return list(await asyncio.gather(*calls))
