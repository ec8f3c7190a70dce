"""Whoever owns the server and every online key brings no code to a machine (S01)."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from patchtide.adapters.transport.download import Blob, Downloader, open_verified
from patchtide.adapters.trust.client import TrustClient
from patchtide.domain.errors import PatchtideError
from patchtide.domain.sequencer.consent import (
    Assigned,
    Candidate,
    Deny,
    Listed,
    Origin,
    may_install,
)
from patchtide.entry.agent.trust_cli import PlainGetter
from patchtide.wire.policy import PolicyRefused, keys_of, open_envelope, open_fragment
from tests.simulator.evil_server import (
    ATTACKS,
    BUILD,
    BUILD_LEAF,
    BUILD_SHARD,
    CLIENT,
    FEED_LEAF,
    FEED_SHARD,
    GOOD,
    NOW,
    OWN,
    OWN_LEAF,
    OWN_SHARD,
    VENDOR_KEY,
    Attack,
    EvilServer,
    Leaf,
)
from tests.simulator.signing import first_root


def compare(a: str, b: str) -> int:
    return int(a) - int(b)


class Machine:
    """As little of an agent as decides: trust, downloads, consent."""

    def __init__(self, folder: Path, server: EvilServer, base: str) -> None:
        self.server, self.base = server, base
        self.trust = TrustClient(
            folder / "trust",
            first_root(server.repository),
            metadata_url=f"{base}/metadata",
            targets_url=f"{base}/targets",
            getter=PlainGetter(),
            build_time=NOW - 60,
        )
        self.blobs = Downloader(folder / "blobs", PlainGetter())
        self.policy_keys = keys_of(server.policy_key)
        self.sequence = 0
        self.installed: list[bytes] = []

    def attempt(self) -> str:
        """Go through everything once; return the code of the refusal, or `installed`."""
        try:
            return self._install()
        except PolicyRefused as error:
            return error.flaw.value
        except PatchtideError as error:
            return error.code

    def _install(self) -> str:
        assigned = self._assigned()
        self.trust.refresh(NOW)
        leaves: dict[int, Leaf] = {}
        catalog: dict[int, Listed] = {}
        for path in (FEED_SHARD, OWN_SHARD, BUILD_SHARD):
            for leaf in self._shard(path):
                leaves[leaf.number] = leaf
                catalog[leaf.number] = listed(leaf, path.split("/")[0])
        vendor = Ed25519PublicKey.from_public_bytes(self.trust.read_target(VENDOR_KEY, 32))
        asked = [
            self._measured(order, leaves.get(number), vendor) for number, order in assigned.items()
        ]
        decision = may_install(asked, catalog=catalog, assigned=assigned, now=NOW)
        if isinstance(decision, Deny):
            return decision.reasons[0][1].value
        for number in assigned:
            leaf = leaves[number]
            self.trust.check_package(leaf.package, leaf.version, compare, now=NOW)
        for digest, size in sorted(decision.files):
            handle = open_verified(self.blobs.path(Blob(digest=digest, size=size)), digest, size)
            with os.fdopen(handle, "rb") as file:
                self.installed.append(file.read())
        for number in assigned:
            self.trust.package_installed(leaves[number].package, leaves[number].version, compare)
        return "installed"

    def _assigned(self) -> dict[int, Assigned]:
        envelope = open_envelope(
            self.server.envelope,
            keys=self.policy_keys,
            client=CLIENT,
            sequence=self.sequence,
            now=NOW,
        )
        self.sequence = envelope.sequence
        fragments = [
            open_fragment(data, keys=self.policy_keys, named=envelope.fragments)
            for data in self.server.fragments
        ]
        return {
            item.number: Assigned(
                number=item.number,
                revision=item.revision,
                files=frozenset(item.files),
                valid_until=envelope.valid_until,
            )
            for fragment in fragments
            for item in fragment.items
        }

    def _shard(self, path: str) -> list[Leaf]:
        data, leaves = self.trust.read_target(path, 1 << 16), []
        while data:
            end = 4 + int.from_bytes(data[:4])
            leaves.append(msgspec.msgpack.decode(data[4:end], type=Leaf))
            data = data[end:]
        return leaves

    def _measured(self, order: Assigned, leaf: Leaf | None, vendor: Ed25519PublicKey) -> Candidate:
        for digest, size in order.files:
            blob = Blob(digest=digest, size=size)
            self.blobs.fetch(blob, [f"{self.base}/blobs/{digest.hex()}"])
        return Candidate(
            number=order.number,
            revision=order.revision,
            files=order.files,
            vendor_verified=leaf is not None
            and all(self._by_vendor(digest, leaf.version, vendor) for digest, _ in order.files),
        )

    def _by_vendor(self, digest: bytes, version: str, vendor: Ed25519PublicKey) -> bool:
        """The vendor's own word counts for the version too: a feed may call an old one new."""
        try:
            with urllib.request.urlopen(f"{self.base}/vendor/{digest.hex()}", timeout=5) as reply:
                signature, stated = reply.read(64), reply.read(64)
            vendor.verify(signature, stated + digest)
        except (OSError, InvalidSignature):
            return False
        return bool(stated.decode() == version)


def listed(leaf: Leaf, role: str) -> Listed:
    return Listed(
        number=leaf.number,
        revision=leaf.revision,
        files=frozenset(leaf.files),
        origin=Origin(leaf.origin),
        signed_by=role,
    )


@pytest.fixture
def server(tmp_path: Path) -> EvilServer:
    return EvilServer(tmp_path / "server")


@pytest.fixture
def machine(tmp_path: Path, server: EvilServer) -> Iterator[Machine]:
    with ExitStack() as stack:
        made = Machine(tmp_path / "machine", server, stack.enter_context(server.served()))
        stack.callback(made.trust.close)
        yield made


def test_an_honest_server_gets_its_updates_installed(machine: Machine) -> None:
    assert machine.attempt() == "installed"
    assert sorted(machine.installed) == sorted([GOOD, OWN, BUILD])


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_a_machine_in_use_refuses(
    machine: Machine, server: EvilServer, tmp_path: Path, attack: Attack
) -> None:
    machine.attempt()
    # What was fetched and verified before would still be right; here all comes from the attacker.
    for folder in ("machine/blobs", "machine/trust/targets"):
        for path in (tmp_path / folder).iterdir():
            path.unlink()
    machine.installed.clear()
    before = {role: machine.trust.floor(role) for role in ("root", "targets", "publisher", "agent")}
    server.assign(FEED_LEAF, OWN_LEAF, BUILD_LEAF)
    machine.sequence = 2

    attack(server)

    assert machine.attempt() == ATTACKS[attack]
    assert machine.installed == []
    assert {role: machine.trust.floor(role) for role in before} == before
