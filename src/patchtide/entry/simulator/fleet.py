"""The fleet: machines made, enrolled and driven by their own wake-up times."""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import patchtide
from patchtide.adapters.agentstate.memory import MemoryJournal, Pool
from patchtide.adapters.platforms.simulated import Description, Model, SimulatedPlatform
from patchtide.adapters.transport.blobs import ContentBlobs
from patchtide.adapters.transport.https import HttpsGetter
from patchtide.adapters.transport.lines import Lines
from patchtide.adapters.transport.link import TlsEnrolment, TlsLink
from patchtide.adapters.transport.site_ca import find_ca, verified_context
from patchtide.adapters.trust.client import TrustClient
from patchtide.agent import enrolment
from patchtide.agent.catalog import Decoded, LocalCatalog
from patchtide.agent.core import AgentCore
from patchtide.agent.enforcement import Enforcement
from patchtide.agent.parts import Condition, Ports
from patchtide.agent.policy import LocalPolicy
from patchtide.agent.ports.link import Answer, Outgoing
from patchtide.domain.errors import PatchtideError
from patchtide.domain.sequencer import events as ev
from patchtide.entry.simulator.shared import (
    RealTimeLink,
    SharedBlobs,
    SharedScans,
    SharedTrust,
    Verdicts,
)
from patchtide.wire.policy import keys_of

BUILD_TIME = 1_767_225_600.0
BATCH = 512


class VirtualClock:
    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def advance_to(self, now: float) -> None:
        self._now = max(self._now, now)


@dataclass(slots=True)
class Tally:
    """What happened, by name; the threads add up under the interpreter's own lock."""

    counts: Counter[str] = field(default_factory=Counter)
    answered: list[float] = field(default_factory=list)

    def note(self, what: str, answer: Answer, seconds: float) -> None:
        self.counts[f"{what}: {type(answer).__name__}"] += 1
        self.answered.append(seconds)


class _CountedLink(RealTimeLink):
    def __init__(self, link: TlsLink, tally: Tally) -> None:
        super().__init__(link)
        self._tally = tally

    def check_in(self, message: Outgoing) -> Answer:
        return self._counted("check-in", super().check_in, message)

    def report(self, message: Outgoing) -> Answer:
        return self._counted("report", super().report, message)

    def inventory(self, message: Outgoing) -> Answer:
        return self._counted("inventory", super().inventory, message)

    def _counted(self, what: str, ask: Callable[[Outgoing], Answer], message: Outgoing) -> Answer:
        began = time.perf_counter()
        answer = ask(message)
        self._tally.note(what, answer, time.perf_counter() - began)
        return answer


@dataclass(slots=True, kw_only=True)
class Machine:
    name: str
    core: AgentCore
    clock: VirtualClock
    platform: SimulatedPlatform
    journal: MemoryJournal
    client: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is simulated."""

    url: str
    token: str
    machines: int
    hours: float
    threads: int = 4
    seed: int = 1
    variants: int = 20
    """How many different sets of packages the machines have."""
    shards: tuple[str, ...] = ("debian-12",)
    packages: int = 300
    """How many packages a machine has, `of` so many that there are."""
    of: int = 3000


class Fleet:
    """Simulated machines of one site. `folder` keeps the shared trust."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.tally = Tally()
        self.machines: list[Machine] = []
        self._models = [self._model(number) for number in range(plan.variants)]
        self._token = enrolment.parse_token(plan.token)
        self._ca = find_ca(plan.url, self._token.ca_sha256)
        self._lines = Lines(verified_context(self._ca))
        self._folder = folder
        self._lock = threading.Lock()
        self._trust: SharedTrust | None = None
        self._blobs = SharedBlobs(ContentBlobs(plan.url, HttpsGetter(self._lines)))
        self._leaves: Pool = {}
        self._decoded: Decoded = {}
        self._verdicts: Verdicts = {}

    def _model(self, variant: int) -> Model:
        """Return a set of packages: `pkg-N` in version 1.0 or 1.1, told by seed and variant."""

        def lot(number: int) -> bytes:
            return sha256(f"{self.plan.seed} {variant} {number}".encode()).digest()

        chosen = sorted(range(self.plan.of), key=lot)[: self.plan.packages]
        packages = {f"pkg-{n}": "1.0-1" if lot(n)[-1] % 2 else "1.1-1" for n in chosen}
        return Model(
            Description(os_id="debian", os_version="12", shards=self.plan.shards, packages=packages)
        )

    def enrol(self) -> Iterator[int]:
        """Enrol every machine; yield how many are done."""
        with ThreadPoolExecutor(self.plan.threads) as threads:
            for machine in threads.map(self._enrolled, range(self.plan.machines)):
                self.machines.append(machine)
                yield len(self.machines)

    def _enrolled(self, number: int) -> Machine:
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes_raw()
        name = f"sim-{self.plan.seed}-{number}"
        kept = enrolment.enrol(
            self._token,
            enrolment.Machine(
                machine_id=sha256(f"{name} {time.time_ns()}".encode()).hexdigest()[:32],
                name=name,
                platform="debian-12",
                agent_version=patchtide.__version__,
                public_key=public,
            ),
            url=self.plan.url,
            find_ca=lambda url, digest: self._ca,
            connect=lambda url, ca: TlsEnrolment(
                url,
                self._lines,
                key_id=sha256(public).hexdigest(),
                sign=key.sign,
            ),
        )
        return self._machine(number, name, key, kept)

    def _machine(
        self, number: int, name: str, key: Ed25519PrivateKey, kept: enrolment.Enrolment
    ) -> Machine:
        trust = self._shared_trust(kept.root)
        journal = MemoryJournal(self._leaves)
        clock = VirtualClock(time.time())
        platform = SimulatedPlatform(self._models[number % len(self._models)], name=name)
        local = LocalCatalog(
            journal,
            trust=trust,
            blobs=self._blobs,
            platform=platform,
            followed=platform.shards,
            decoded=self._decoded,
        )
        policy = LocalPolicy(
            journal, blobs=self._blobs, keys=keys_of(kept.answer_key), client=kept.client
        )
        link = TlsLink(
            self.plan.url,
            self._lines,
            client=kept.client,
            sign=key.sign,
            answer_key=kept.answer_key,
        )
        ports = Ports(
            journal=journal,
            link=_CountedLink(link, self.tally),
            catalog=SharedScans(local, store=journal, platform=platform, verdicts=self._verdicts),
            policy=policy,
            enforcer=Enforcement(catalog=local, policy=policy, trust=trust, platform=platform),
            inventory=platform,
            clock=clock,
        )
        core = AgentCore(
            ports, seed=kept.client, condition=Condition(agent_version=patchtide.__version__)
        )
        return Machine(
            name=name,
            core=core,
            clock=clock,
            platform=platform,
            journal=journal,
            client=kept.client,
        )

    def _shared_trust(self, root: bytes) -> SharedTrust:
        with self._lock:
            return self._made_trust(root)

    def _made_trust(self, root: bytes) -> SharedTrust:
        if self._trust is None:
            self._trust = SharedTrust(
                lambda: TrustClient(
                    self._folder / "trust",
                    root,
                    metadata_url=f"{self.plan.url}/catalog/metadata/",
                    targets_url=f"{self.plan.url}/catalog/targets/",
                    getter=HttpsGetter(self._lines),
                    build_time=BUILD_TIME,
                )
            )
        return self._trust

    def run(self, hours: float) -> Iterator[float]:
        """Let the machines live for so many virtual hours; yield how many have passed.

        Between a machine's wake-ups nothing happens, so nothing is done.
        """
        start = max((m.clock.now() for m in self.machines), default=time.time())
        end = start + hours * 3600
        with ThreadPoolExecutor(self.plan.threads) as threads:
            first = threads.map(partial(_step, started=False), self.machines)
            due = [(wake_up, number) for number, wake_up in enumerate(first)]
            heapq.heapify(due)
            while due and due[0][0] <= end:
                batch = [heapq.heappop(due) for _ in range(min(BATCH, len(due)))]
                later = [entry for entry in batch if entry[0] > end]
                now = [entry for entry in batch if entry[0] <= end]
                for wake_up, number in now:
                    self.machines[number].clock.advance_to(wake_up)
                waking = threads.map(_step, (self.machines[number] for _, number in now))
                for (_, number), wake_up in zip(now, waking, strict=True):
                    heapq.heappush(due, (wake_up, number))
                for entry in later:
                    heapq.heappush(due, entry)
                yield (batch[0][0] - start) / 3600
        for machine in self.machines:
            machine.clock.advance_to(end)


def _step(machine: Machine, *, started: bool = True) -> float:
    try:
        return machine.core.step(ev.Woken()) if started else machine.core.start()
    except PatchtideError:
        return machine.clock.now() + 3600
