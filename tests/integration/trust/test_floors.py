"""What a machine has accepted outlives cache, crashes and clock (S03, S04, F04, F16)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from patchtide.adapters.trust.client import TrustClient
from patchtide.adapters.trust.layout import SIGNED_AT
from patchtide.agent.ports.trust import (
    ClockBehind,
    MetadataExpired,
    PackageRollbackRefused,
    RollbackRefused,
)
from patchtide.wire.messages import encode
from patchtide.wire.policy import ApprovedV1, RollbackOrderV1, approve
from tests.integration.trust.conftest import NOW, Agent
from tests.simulator.tuf_repository import TufRepository

YEAR = 365 * 86_400.0
Damage = Callable[[Path], None]


def cached(folder: Path) -> list[Path]:
    return [p for p in (folder / "trust/metadata").rglob("*.json") if not p.is_symlink()]


def emptied(folder: Path) -> None:
    for path in cached(folder):
        path.write_bytes(b"")


def flipped(folder: Path) -> None:
    for path in cached(folder):
        data = bytearray(path.read_bytes())
        for at in range(0, len(data), 1000):
            data[at] ^= 1
        path.write_bytes(data)


def removed(folder: Path) -> None:
    shutil.rmtree(folder / "trust/metadata")


@pytest.mark.parametrize("damage", [emptied, flipped, removed], ids=lambda d: d.__name__)
def test_without_its_cache_a_machine_still_refuses_older_metadata(
    agent: Agent, repository: TufRepository, tmp_path: Path, damage: Damage
) -> None:
    old = repository.copy_files()
    repository.rotate("root")
    repository.publish()
    agent().refresh(NOW)
    seen = agent().trust_seen()
    newest = repository.copy_files()

    damage(tmp_path)
    repository.files = old
    client = agent()
    with pytest.raises(RollbackRefused):
        client.refresh(NOW)

    assert [e.code for e in client.take_events()] == ["metadata-cache-lost"]
    assert client.trust_seen() == seen
    repository.files = newest
    client.refresh(NOW)
    assert client.trust_seen() == seen


@pytest.mark.parametrize("damage", [emptied, flipped, removed], ids=lambda d: d.__name__)
def test_a_damaged_cache_is_fetched_again_and_reported_once(
    agent: Agent, repository: TufRepository, tmp_path: Path, damage: Damage
) -> None:
    repository.publish()
    agent().refresh(NOW)
    damage(tmp_path)

    first, second = agent().refresh(NOW), agent().refresh(NOW)

    assert ([e.code for e in first], second) == (["metadata-cache-lost"], ())


@pytest.mark.parametrize("lost", ["removed", "damaged"])
def test_lost_floors_are_reported_and_the_embedded_minimum_holds(
    agent: Agent, repository: TufRepository, tmp_path: Path, lost: str
) -> None:
    first = agent()
    first.refresh(NOW)
    first.close()
    for path in (tmp_path / "trust").glob("floors.db*"):
        path.write_bytes(b"no database" * 1000) if lost == "damaged" else path.unlink()

    client = agent(minimum={"snapshot": 5})
    with pytest.raises(RollbackRefused):
        client.refresh(NOW)

    assert "floor-lost" in [e.code for e in client.take_events()]
    repository.snapshot.signed.version = 4
    repository.publish_snapshot()
    client.refresh(NOW)


def test_the_server_may_raise_a_floor_and_never_lower_it(agent: Agent) -> None:
    client = agent()
    client.refresh(NOW)

    client.raise_floor("targets", 7)
    client.raise_floor("targets", 2)

    assert client.floor("targets") == 7
    with pytest.raises(RollbackRefused):
        client.refresh(NOW)


def test_two_versions_of_one_number_are_refused(
    agent: Agent, repository: TufRepository, tmp_path: Path
) -> None:
    agent().refresh(NOW)
    emptied(tmp_path)  # with its cache, the machine would just keep the first
    repository.targets.signed.unrecognized_fields["other"] = 1
    repository.put("targets", repository.targets)
    repository.publish_snapshot(bump=False)

    with pytest.raises(RollbackRefused):
        agent().refresh(NOW)


def test_two_agents_that_are_shown_different_metadata_report_different_digests(
    agent: Agent, repository: TufRepository, tmp_path: Path
) -> None:
    client = agent()
    client.refresh(NOW)
    before = client.trust_seen()
    repository.publish()
    client.refresh(NOW)

    assert before.keys() == client.trust_seen().keys() == {"root", "timestamp", "snapshot"}
    assert before["timestamp"] != client.trust_seen()["timestamp"]


@pytest.mark.parametrize("now", [0.0, NOW - 10 * YEAR])
def test_a_clock_that_is_behind_is_named(agent: Agent, now: float) -> None:
    with pytest.raises(ClockBehind):
        agent().refresh(now)


def test_a_clock_ten_years_ahead_accepts_nothing_and_harms_nothing(agent: Agent) -> None:
    client = agent()
    with pytest.raises(MetadataExpired):
        client.refresh(NOW + 10 * YEAR)

    client.refresh(NOW)


def test_a_clock_set_back_does_not_bring_expired_metadata_back(
    agent: Agent, repository: TufRepository
) -> None:
    repository.timestamp.signed.unrecognized_fields[SIGNED_AT] = int(NOW + 86_400)
    repository.publish_timestamp()
    agent().refresh(NOW + 86_400)

    with pytest.raises(ClockBehind):
        agent().refresh(NOW)


def test_a_thief_of_the_timestamps_key_cannot_stop_the_clock_for_good(
    agent: Agent, repository: TufRepository
) -> None:
    client = agent()
    repository.timestamp.signed.unrecognized_fields[SIGNED_AT] = int(NOW + YEAR)
    repository.publish_timestamp()
    with pytest.raises(ClockBehind):
        client.refresh(NOW)

    repository.timestamp.signed.unrecognized_fields[SIGNED_AT] = int(NOW)
    repository.publish_timestamp()
    client.refresh(NOW)


def as_numbers(a: str, b: str) -> int:
    return int(a) - int(b)


@pytest.fixture
def publishers(repository: TufRepository) -> list[Ed25519PrivateKey]:
    keys = [Ed25519PrivateKey.generate() for _ in range(2)]
    repository.delegate("publisher", "publisher/*/*", terminating=True)
    for key in keys:
        repository.targets.signed.add_key(CryptoSigner(key).public_key, "publisher")
    repository.publish()
    return keys


def order(keys: list[Ed25519PrivateKey], *, version: str = "3", expires: float = NOW + 60) -> bytes:
    payload = encode(
        RollbackOrderV1(
            package="nginx",
            version=version,
            reason="the new one loses requests",
            expires=int(expires),
            nonce=UUID(int=1).bytes,
        )
    )
    approvals = [
        approve(payload, RollbackOrderV1, k.sign, public_key=k.public_key().public_bytes_raw())
        for k in keys
    ]
    return encode(ApprovedV1(payload=payload, approvals=tuple(approvals)))


@pytest.fixture
def installed(agent: Agent, publishers: list[Ed25519PrivateKey]) -> TrustClient:
    client = agent()
    client.refresh(NOW)
    client.package_installed("nginx", "5", as_numbers)
    client.package_installed("nginx", "4", as_numbers)
    return client


def test_a_package_does_not_go_back_by_newer_metadata_alone(installed: TrustClient) -> None:
    installed.check_package("nginx", "5", as_numbers, now=NOW)
    installed.check_package("nginx", "6", as_numbers, now=NOW)

    with pytest.raises(PackageRollbackRefused):
        installed.check_package("nginx", "4", as_numbers, now=NOW)


def test_an_order_by_two_publishers_allows_it_once(
    installed: TrustClient, publishers: list[Ed25519PrivateKey]
) -> None:
    signed = order(publishers)

    installed.check_package("nginx", "3", as_numbers, order=signed, now=NOW)

    installed.package_installed("nginx", "5", as_numbers)
    with pytest.raises(PackageRollbackRefused, match="used before"):
        installed.check_package("nginx", "3", as_numbers, order=signed, now=NOW)


@pytest.mark.parametrize(
    "flaw", ["expired", "one publisher", "one publisher twice", "strangers", "another version"]
)
def test_an_order_with_a_flaw_allows_nothing(
    installed: TrustClient, publishers: list[Ed25519PrivateKey], flaw: str
) -> None:
    orders = {
        "expired": lambda: order(publishers, expires=NOW - 1),
        "one publisher": lambda: order(publishers[:1]),
        "one publisher twice": lambda: order(publishers[:1] * 2),
        "strangers": lambda: order([Ed25519PrivateKey.generate() for _ in range(2)]),
        "another version": lambda: order(publishers, version="2"),
    }

    with pytest.raises(PackageRollbackRefused):
        installed.check_package("nginx", "3", as_numbers, order=orders[flaw](), now=NOW)
