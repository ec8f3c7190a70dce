"""Puts a real agent together: state folder, TLS, trust, platform. Never the idle loop's."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import patchtide
from patchtide.adapters.agentstate.folder import private_folder
from patchtide.adapters.agentstate.identity import open_identity, read_machine_id
from patchtide.adapters.agentstate.local import DEFAULT_CONFIG, local_or_nothing
from patchtide.adapters.agentstate.settings import KeptSettings
from patchtide.adapters.agentstate.sqlite import open_journal
from patchtide.adapters.agentstate.status import read_enrolment
from patchtide.adapters.platforms import own_service
from patchtide.adapters.platforms.linux import System
from patchtide.adapters.platforms.machines import LinuxPlatform
from patchtide.adapters.platforms.simulated import SimulatedPlatform
from patchtide.adapters.transport.blobs import ContentBlobs
from patchtide.adapters.transport.carried import CarriedGetter
from patchtide.adapters.transport.fetched import FetchedContent
from patchtide.adapters.transport.https import HttpsGetter
from patchtide.adapters.transport.lines import Lines
from patchtide.adapters.transport.link import TlsLink
from patchtide.adapters.transport.site_ca import verified_context
from patchtide.adapters.trust.client import TrustClient
from patchtide.agent.catalog import LocalCatalog
from patchtide.agent.core import AgentCore
from patchtide.agent.enforcement import Enforcement
from patchtide.agent.enrolment import Enrolment
from patchtide.agent.parts import Condition, Ports
from patchtide.agent.policy import LocalPolicy
from patchtide.agent.ports.web import Getter
from patchtide.agent.settings import Settings
from patchtide.agent.vendors import VendorKeys, Vendors
from patchtide.domain.errors import PatchtideError
from patchtide.domain.findings import SERVICE, SPACE, TOO_LITTLE_SPACE
from patchtide.entry.agent.machine import machine_of, root_of, takeover_of
from patchtide.entry.agent.proxy import way_of
from patchtide.wire.policy import keys_of

BUILD_TIME = 1_767_225_600.0
"""2026-01-01: no machine's clock is right before this was written."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class NotEnrolled(PatchtideError):
    """This machine has no identity (any more); enrol it with a token."""

    code = "not-enrolled"


class SystemClock:
    def now(self) -> float:
        return time.time()


@contextmanager
def composed(
    state: Path,
    *,
    platform: str,
    machine_id_file: Path,
    check: bool,
    config: Path = DEFAULT_CONFIG,
) -> Iterator[AgentCore]:
    """Return the agent, its state open; close it at the end.

    Raises:
        NotEnrolled, NoMachineId, JournalFailed, InvalidDocument
    """
    identity = open_identity(
        private_folder(state) / "identity", machine_id=read_machine_id(machine_id_file)
    )
    enrolment = identity.enrolment()
    if enrolment is None:
        raise NotEnrolled
    local, flaw = local_or_nothing(config, state=state)
    way = way_of(state, local)
    lines = Lines(verified_context(enrolment.ca), way)
    getter = HttpsGetter(lines)
    carried = CarriedGetter(
        getter,
        enrolment.url,
        answer_key=enrolment.answer_key,
        known=lambda shards: trust.known(shards),
    )
    blobs = ContentBlobs(enrolment.url, carried)
    content = FetchedContent(private_folder(state) / "content", enrolment.url, getter)
    machine = machine_of(platform, content)
    # The kernel's boot, not the simulated machine's: it tells a power cut from a crash.
    boot_id = _BOOT_ID.read_text("ascii").strip()
    journal, lost = open_journal(state / "journal.db", boot_id=boot_id, check=check)
    trust = TrustClient(
        private_folder(state / "trust"),
        enrolment.root,
        metadata_url=f"{enrolment.url}/catalog/metadata/",
        targets_url=f"{enrolment.url}/catalog/targets/",
        getter=carried,
        build_time=BUILD_TIME,
    )
    link = TlsLink(
        enrolment.url,
        lines,
        client=enrolment.client,
        sign=identity.sign,
        answer_key=enrolment.answer_key,
    )
    catalog = LocalCatalog(
        journal,
        trust=trust,
        blobs=blobs,
        platform=machine,
        followed=machine.shards,
        catch_up=carried,
    )
    policy = LocalPolicy(
        journal, blobs=blobs, keys=keys_of(enrolment.answer_key), client=enrolment.client
    )
    ports = Ports(
        journal=journal,
        link=link,
        catalog=catalog,
        policy=policy,
        enforcer=Enforcement(
            catalog=catalog, policy=policy, trust=trust, platform=machine, content=content
        ),
        inventory=machine,
        clock=SystemClock(),
        settings=Settings(KeptSettings(state), local, zone=System(Path("/")).time_zone),
        takeover=takeover_of(machine, state),
    )
    try:
        condition = Condition(
            agent_version=patchtide.__version__,
            detour=lambda: way.trouble,
            faults=lambda: list(_faults(state, machine)),
            local_flaw=flaw,
        )
        core = AgentCore(ports, seed=enrolment.client, condition=condition)
        if lost:
            core.note("state-lost", "the journal was damaged or missing and was begun anew")
        yield core
    finally:
        lines.close()
        trust.close()
        journal.close()


def _faults(state: Path, machine: LinuxPlatform | SimulatedPlatform) -> Iterator[str]:
    if shutil.disk_usage(state).free < TOO_LITTLE_SPACE:
        yield SPACE
    root = root_of(machine)
    if root and own_service.standing(root, state) in (own_service.DISABLED, own_service.MASKED):
        yield SERVICE
    yield from machine.updaters()


@contextmanager
def vendors_asked(state: Path, keys: VendorKeys | None, *, config: Path) -> Iterator[Vendors]:
    """Return who asks the vendors' signatures, beside an agent that may be at work.

    What the site says is read into a folder that goes again: an agent's own trust is its alone,
    and of what the site signs nothing counts here but where the vendor's documents are.

    Raises:
        NotEnrolled, TrustRefused, RepositoryUnreachable
    """
    enrolment = read_enrolment(state / "identity")
    if enrolment is None:
        raise NotEnrolled
    local, _ = local_or_nothing(config, state=state)
    lines = Lines(verified_context(enrolment.ca), way_of(state, local))
    getter = HttpsGetter(lines)
    with TemporaryDirectory(prefix="patchtide-trust-") as name:
        trust = _trust(Path(name), enrolment, getter)
        try:
            trust.refresh(time.time())
            yield Vendors(trust=trust, blobs=ContentBlobs(enrolment.url, getter), keys=keys)
        finally:
            trust.close()
            lines.close()


def _trust(folder: Path, enrolment: Enrolment, getter: Getter) -> TrustClient:
    return TrustClient(
        folder,
        enrolment.root,
        metadata_url=f"{enrolment.url}/catalog/metadata/",
        targets_url=f"{enrolment.url}/catalog/targets/",
        getter=getter,
        build_time=BUILD_TIME,
    )
