"""One machine's agent with everything outside it in this process: no socket, file or clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from patchtide.adapters.agentstate.memory import MemoryJournal
from patchtide.adapters.platforms.simulated import Description, Model, SimulatedPlatform
from patchtide.agent.catalog import LocalCatalog
from patchtide.agent.core import AgentCore
from patchtide.agent.enforcement import Enforcement
from patchtide.agent.parts import Ports
from patchtide.agent.policy import LocalPolicy
from patchtide.agent.ports.content import ContentUnreachable
from patchtide.agent.ports.journal import Journal
from patchtide.agent.ports.link import Answer, News, NoNews, Outgoing, Taken
from patchtide.agent.ports.trust import Compare, PackageRollbackRefused, TargetAbsent, TrustEvent
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import Always, Comparison, PackageFormat, PackageInstalled
from patchtide.domain.catalog.updates import (
    LeafFile,
    Origin,
    Restart,
    Revision,
    UpdateId,
    UpdateNumber,
)
from patchtide.wire.leaves import encode_leaf
from patchtide.wire.messages import (
    CheckInAnswerV1,
    CheckInV1,
    InventoryV1,
    ReportV1,
    decode,
    encode,
)
from patchtide.wire.policy import EnvelopeV1, FragmentV1, ItemV1, keys_of, seal
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

LINEAGE = bytes(range(16))
CLIENT = bytes(range(100, 116))
NOON = 1_772_450_000.0


def a_leaf(
    number: int, package: str, version: str, *, origin: str = "publisher", restart: str = "never"
) -> Leaf:
    """Needed where the package is there, done where it is at least of this version."""
    present = PackageInstalled(PackageFormat.DEB, package)
    done = PackageInstalled(PackageFormat.DEB, package, Comparison.AT_LEAST, version)
    content = f"{package} {version}".encode()
    return Leaf(
        number=UpdateNumber(number),
        revision=Revision(1),
        update=UpdateId(UUID(int=number)),
        prerequisite=Always(),
        applicable=present,
        installed=done,
        origin=Origin(origin),
        restart=Restart(restart),
        files=(
            LeafFile(
                name=package,
                version=version,
                sha256=sha256(content).digest(),
                size_bytes=len(content),
            ),
        ),
    )


@dataclass
class FakeTrust:
    """Believes what the test put there; keeps package floors as the real one does."""

    targets: dict[str, bytes] = field(default_factory=dict)
    floors: dict[str, str] = field(default_factory=dict)
    refusal: Exception | None = None
    events: list[TrustEvent] = field(default_factory=list)
    leave: bytes = b""
    """The order to go back that counts as signed by two publishers."""

    def refresh(self, now: float, *, root_version: int = 0) -> tuple[TrustEvent, ...]:
        if self.refusal is not None:
            raise self.refusal
        return ()

    def take_events(self) -> tuple[TrustEvent, ...]:
        told, self.events = tuple(self.events), []
        return told

    def read_target(self, path: str, max_size: int) -> bytes:
        if path not in self.targets:
            raise TargetAbsent(path)
        return self.targets[path]

    def raise_floor(self, role: str, version: int) -> None: ...

    def trust_seen(self) -> Mapping[str, bytes]:
        return {}

    def check_package(
        self, name: str, version: str, compare: Compare, *, order: bytes = b"", now: float
    ) -> None:
        if order and order == self.leave:
            self.floors[name] = version
        if name in self.floors and compare(version, self.floors[name]) < 0:
            raise PackageRollbackRefused(f"{name} {version}")

    def package_installed(self, name: str, version: str, compare: Compare) -> None:
        self.floors[name] = version


@dataclass
class FakeBlobs:
    content: dict[bytes, bytes] = field(default_factory=dict)

    def put(self, data: bytes) -> bytes:
        digest = sha256(data).digest()
        self.content[digest] = data
        return digest

    def read(self, digest: bytes, *, at_most: int) -> bytes:
        if digest not in self.content:
            raise ContentUnreachable
        return self.content[digest]


@dataclass
class SimulatedMachine:
    """Builds the agent's core over fakes, and publishes to it."""

    packages: dict[str, str] = field(default_factory=lambda: {"openssl": "3.0.1", "curl": "8.0"})
    broken: frozenset[str] = frozenset()
    unsigned: frozenset[str] = frozenset()
    shards: tuple[str, ...] = ("custom", "debian-12")
    journal: Journal = field(default_factory=MemoryJournal)
    seconds: float = NOON
    check_ins: list[CheckInV1] = field(default_factory=list)
    reports: list[ReportV1] = field(default_factory=list)
    inventories: list[InventoryV1] = field(default_factory=list)
    inventory_answers: deque[Answer] = field(default_factory=deque)
    next_answers: deque[Answer] = field(default_factory=deque)
    """To check-ins, before the ordinary ones."""
    report_answers: deque[Answer] = field(default_factory=deque)
    serials: dict[str, int] = field(default_factory=dict)
    envelope: bytes = b""
    sequence: int = 0
    lease: int = 0

    def __post_init__(self) -> None:
        self.trust, self.blobs = FakeTrust(), FakeBlobs()
        self._held: dict[str, Leaves] = {}
        self._signer = Ed25519PrivateKey.generate()
        described = Description(
            os_id="debian", os_version="12", packages=self.packages, shards=self.shards
        )
        self.platform = SimulatedPlatform(
            Model(described), name="m1", broken=self.broken, unsigned=self.unsigned
        )
        self.restarted_process()

    def restarted_process(self) -> None:
        """Begin anew with what the journal holds."""
        key = self._signer.public_key().public_bytes_raw()
        catalog = LocalCatalog(
            self.journal,
            trust=self.trust,
            blobs=self.blobs,
            platform=self.platform,
            followed=self.shards,
        )
        policy = LocalPolicy(self.journal, blobs=self.blobs, keys=keys_of(key), client=CLIENT)
        enforcement = Enforcement(
            catalog=catalog, policy=policy, trust=self.trust, platform=self.platform
        )
        self.ports = Ports(
            journal=self.journal,
            link=self,
            catalog=catalog,
            policy=policy,
            enforcer=enforcement,
            inventory=self.platform,
            clock=self,
        )
        self.core = AgentCore(self.ports, seed=CLIENT)

    def publish(self, shard: str, *leaves: Leaf) -> None:
        serial = self.serials[shard] = self.serials.get(shard, 0) + 1
        held = {leaf.number: encode_leaf(leaf) for leaf in leaves}
        before, self._held[shard] = self._held.get(shard, {}), held
        step = pack_document(
            make_step(LINEAGE, shard, serial=serial - 1, before=before, after=held)
        )
        packed = pack_document(make_base(LINEAGE, shard, serial=serial, leaves=held))
        index = ShardIndexV1(
            lineage=LINEAGE,
            shard=shard,
            serial=serial,
            digest=digest_of(LINEAGE, held),
            base=BaseFileV1(serial, len(packed), self.blobs.put(packed)),
            deltas=(DeltaFileV1(serial - 1, serial, len(step), self.blobs.put(step)),),
        )
        self.trust.targets[target_of(shard)] = encode(index)

    def assign(self, *leaves: Leaf, **changes: object) -> None:
        """Send a new envelope that names these leaves as they are."""
        items = tuple(
            ItemV1(
                number=leaf.number,
                revision=leaf.revision,
                files=tuple((file.sha256, file.size_bytes) for file in leaf.files),
            )
            for leaf in leaves
        )
        fragment = FragmentV1(deployment=bytes(16), items=items, **changes)  # type: ignore[arg-type]
        self.sequence += 1
        name = self.blobs.put(self._sealed(fragment))
        self.envelope = self._sealed(
            EnvelopeV1(
                client=CLIENT,
                sequence=self.sequence,
                issued=int(self.seconds),
                valid_until=int(self.seconds) + 14 * 86_400,
                fragments=(name,),
                lease=self.lease,
            )
        )

    def _sealed(self, document: EnvelopeV1 | FragmentV1) -> bytes:
        key = self._signer.public_key().public_bytes_raw()
        return seal(document, self._signer.sign, public_key=key)

    # -- the clock and the link that the agent sees

    def now(self) -> float:
        return self.seconds

    def check_in(self, message: Outgoing) -> Answer:
        said = decode(message.body, CheckInV1)
        self.check_ins.append(said)
        if self.next_answers:
            return self.next_answers.popleft()
        newer = {n: s for n, s in self.serials.items() if said.shards.get(n) not in (None, s)}
        envelope = self.envelope if said.envelope < self.sequence else b""
        if not newer and not envelope:
            return NoNews(3600)
        return News(CheckInAnswerV1(next_poll_s=3600, shards=newer, envelope=envelope))

    def report(self, message: Outgoing) -> Answer:
        self.reports.append(decode(message.body, ReportV1))
        return self.report_answers.popleft() if self.report_answers else Taken()

    def inventory(self, message: Outgoing) -> Answer:
        self.inventories.append(decode(message.body, InventoryV1))
        return self.inventory_answers.popleft() if self.inventory_answers else Taken()

    def codes(self) -> list[str]:
        """Return what the administrator was told so far."""
        return [event.code for report in self.reports for event in report.events]

    def untold(self) -> Sequence[str]:
        return [event.code for _, event in self.journal.events(100)]
