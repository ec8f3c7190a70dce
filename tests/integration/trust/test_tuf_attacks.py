"""What a server, a thief of one key or the network can try on the metadata (S02)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

from patchtide.agent.ports.trust import (
    MetadataExpired,
    RepositoryUnreachable,
    RollbackRefused,
    SearchLimit,
    TargetAbsent,
    TrustRefused,
)
from tests.integration.trust.conftest import NOW, Agent
from tests.simulator.tuf_repository import TufRepository

DAY = 86_400.0
Attack = Callable[[TufRepository], None]


def stranger(repository: TufRepository, role: str) -> None:
    repository.signers[role] = [CryptoSigner.generate_ed25519()]


def timestamp_by_a_stranger(repository: TufRepository) -> None:
    stranger(repository, "timestamp")
    repository.publish_timestamp()


def snapshot_by_a_stranger(repository: TufRepository) -> None:
    stranger(repository, "snapshot")
    repository.publish_snapshot()


def targets_by_a_stranger(repository: TufRepository) -> None:
    stranger(repository, "targets")
    repository.publish()


def root_by_a_stranger(repository: TufRepository) -> None:
    stranger(repository, "root")
    repository.publish_root(bump=True)


def root_by_its_new_key_alone(repository: TufRepository) -> None:
    repository.drop_key("root")
    repository.add_key("root")
    repository.publish_root(bump=True)


def root_by_its_old_key_alone(repository: TufRepository) -> None:
    old = repository.drop_key("root")
    repository.add_key("root")
    repository.signers["root"] = [old]
    repository.publish_root(bump=True)


def root_that_skips_a_version(repository: TufRepository) -> None:
    repository.root.signed.version += 2
    data = repository.signed(repository.root, repository.signers["root"])
    repository.files["/metadata/2.root.json"] = data


def root_of_the_same_version(repository: TufRepository) -> None:
    repository.files["/metadata/2.root.json"] = repository.first_root


def targets_signed_by_the_snapshots_key(repository: TufRepository) -> None:
    repository.signers["targets"] = repository.signers["snapshot"]
    repository.publish()


def snapshot_signed_by_the_timestamps_key(repository: TufRepository) -> None:
    repository.signers["snapshot"] = repository.signers["timestamp"]
    repository.publish_snapshot()


def snapshot_in_the_timestamps_place(repository: TufRepository) -> None:
    data = repository.signed(repository.snapshot, repository.signers["timestamp"])
    repository.files["/metadata/timestamp.json"] = data


def one_signature_counted_twice(repository: TufRepository) -> None:
    repository.add_key("timestamp")
    repository.root.signed.roles["timestamp"].threshold = 2
    repository.publish_root(bump=True)
    data = json.loads(repository.signed(repository.timestamp, repository.signers["timestamp"][:1]))
    data["signatures"] *= 2
    repository.files["/metadata/timestamp.json"] = json.dumps(data).encode()


def a_threshold_not_met(repository: TufRepository) -> None:
    repository.add_key("timestamp")
    repository.root.signed.roles["timestamp"].threshold = 2
    repository.publish_root(bump=True)
    repository.signers["timestamp"].pop()
    repository.publish_timestamp()


def retired_key_goes_on_signing(repository: TufRepository) -> None:
    old = repository.signers["timestamp"][0]
    repository.rotate("timestamp")
    repository.signers["timestamp"] = [old]
    repository.publish_timestamp()


def mixed_snapshot(repository: TufRepository) -> None:
    """The timestamp names a snapshot, but another one of the same number is served."""
    before = repository.copy_files()
    repository.publish()
    old = Metadata.from_bytes(before["/metadata/1.snapshot.json"])
    old.signed.version = 2
    served = repository.signed(old, repository.signers["snapshot"])
    repository.files["/metadata/2.snapshot.json"] = served


def mixed_targets(repository: TufRepository) -> None:
    """The snapshot names targets, but another file of the same number is served."""
    repository.publish()
    repository.targets.signed.unrecognized_fields["other"] = True
    data = repository.signed(repository.targets, repository.signers["targets"])
    repository.files["/metadata/2.targets.json"] = data


def targets_missing_in_the_snapshot(repository: TufRepository) -> None:
    del repository.snapshot.signed.meta["targets.json"]
    repository.publish_snapshot()


def targets_older_in_a_newer_snapshot(repository: TufRepository) -> None:
    repository.targets.signed.version = 0 + 1
    repository.publish(bump=False)
    repository.snapshot.signed.meta["targets.json"].version = 0 + 1
    repository.publish_snapshot()


def not_json(repository: TufRepository) -> None:
    repository.files["/metadata/timestamp.json"] = b"\x28\xb5\x2f\xfd" + b"\0" * 100


def deeply_nested(repository: TufRepository) -> None:
    repository.files["/metadata/timestamp.json"] = b"[" * 16_000


def endless_timestamp(repository: TufRepository) -> None:
    repository.files["/metadata/timestamp.json"] = b" " * (4 << 20)


def endless_root(repository: TufRepository) -> None:
    repository.files["/metadata/2.root.json"] = b" " * (4 << 20)


def longer_than_named(repository: TufRepository) -> None:
    repository.publish()
    repository.bent["/metadata/2.snapshot.json"] = lambda data: data + b" "


REFUSED = [
    timestamp_by_a_stranger,
    snapshot_by_a_stranger,
    targets_by_a_stranger,
    root_by_a_stranger,
    root_by_its_new_key_alone,
    root_by_its_old_key_alone,
    root_that_skips_a_version,
    root_of_the_same_version,
    targets_signed_by_the_snapshots_key,
    snapshot_signed_by_the_timestamps_key,
    snapshot_in_the_timestamps_place,
    one_signature_counted_twice,
    a_threshold_not_met,
    retired_key_goes_on_signing,
    mixed_snapshot,
    mixed_targets,
    targets_missing_in_the_snapshot,
    not_json,
    deeply_nested,
    endless_timestamp,
    endless_root,
    longer_than_named,
]


@pytest.mark.parametrize("attack", REFUSED, ids=lambda attack: attack.__name__)
def test_metadata_that_its_keys_owners_did_not_publish_is_refused(
    agent: Agent, repository: TufRepository, attack: Attack
) -> None:
    client = agent()
    client.refresh(NOW)
    before = client.trust_seen()

    attack(repository)

    with pytest.raises(TrustRefused):
        client.refresh(NOW)
    assert client.trust_seen() == before


@pytest.mark.parametrize("attack", REFUSED, ids=lambda attack: attack.__name__)
def test_a_machine_that_never_saw_better_metadata_refuses_it_too(
    agent: Agent, repository: TufRepository, attack: Attack
) -> None:
    attack(repository)

    with pytest.raises(TrustRefused):
        agent().refresh(NOW)


def test_older_metadata_is_refused(agent: Agent, repository: TufRepository) -> None:
    client = agent()
    old = repository.copy_files()
    repository.publish()
    client.refresh(NOW)

    repository.files = old

    with pytest.raises(RollbackRefused):
        client.refresh(NOW)


def test_older_targets_in_a_newer_snapshot_are_refused(
    agent: Agent, repository: TufRepository
) -> None:
    repository.publish()
    client = agent()
    client.refresh(NOW)

    targets_older_in_a_newer_snapshot(repository)

    with pytest.raises(RollbackRefused):
        client.refresh(NOW)


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "root"])
def test_expired_metadata_is_refused(agent: Agent, repository: TufRepository, role: str) -> None:
    metadata = getattr(repository, role)
    metadata.signed.expires = repository.now - timedelta(seconds=1)
    if role == "root":
        repository.publish_root(bump=True)
    repository.publish()

    with pytest.raises(MetadataExpired):
        agent().refresh(NOW)


def test_a_frozen_repository_is_noticed_when_its_timestamp_expires(agent: Agent) -> None:
    client = agent()
    client.refresh(NOW)
    client.refresh(NOW + 6 * DAY)

    with pytest.raises(MetadataExpired):
        client.refresh(NOW + 8 * DAY)


def test_a_root_that_is_withheld_is_reported(agent: Agent) -> None:
    events = agent().refresh(NOW, root_version=2)

    assert [e.code for e in events] == ["root-withheld"]


def test_a_chain_of_rotations_is_followed_step_by_step(
    agent: Agent, repository: TufRepository
) -> None:
    for _ in range(10):
        repository.rotate("root")
    client = agent()

    client.refresh(NOW)

    assert client.root_version() == 11


def test_a_gap_in_the_chain_of_roots_hides_what_follows(
    agent: Agent, repository: TufRepository
) -> None:
    for _ in range(3):
        repository.rotate("root")
    del repository.files["/metadata/3.root.json"]
    client = agent()

    client.refresh(NOW)

    assert client.root_version() == 2


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_rotated_keys_are_taken_up(agent: Agent, repository: TufRepository, role: str) -> None:
    client = agent()
    client.refresh(NOW)
    repository.rotate(role)
    repository.publish()

    client.refresh(NOW)

    assert client.root_version() == 2


@pytest.mark.parametrize("role", ["timestamp", "snapshot"])
def test_a_version_pushed_up_by_a_thief_is_recovered_from_by_new_keys(
    agent: Agent, repository: TufRepository, role: str
) -> None:
    client = agent()
    metadata = getattr(repository, role)
    metadata.signed.version = 1 << 30
    repository.publish_snapshot()
    client.refresh(NOW)
    metadata.signed.version = 1

    repository.publish_snapshot()
    with pytest.raises(RollbackRefused):
        client.refresh(NOW)
    for rotated in {role, "timestamp"}:  # an old timestamp would still name the high snapshot
        repository.rotate(rotated)
    repository.publish_snapshot()
    client.refresh(NOW)

    assert client.floor(role) == metadata.signed.version


def test_a_source_that_drips_is_cut_off(agent: Agent, repository: TufRepository) -> None:
    repository.drip.add("/metadata/timestamp.json")

    with pytest.raises(RepositoryUnreachable):
        agent(budget_s=0.5).refresh(NOW)


def test_a_redirect_is_not_followed(agent: Agent, repository: TufRepository) -> None:
    repository.statuses["/metadata/timestamp.json"] = 302

    with pytest.raises(RepositoryUnreachable):
        agent().refresh(NOW)
    assert "/metadata/elsewhere.json" not in repository.requests


def test_a_broken_server_is_not_taken_for_the_newest_root(
    agent: Agent, repository: TufRepository
) -> None:
    repository.statuses["/metadata/2.root.json"] = 500

    with pytest.raises(RepositoryUnreachable):
        agent().refresh(NOW)


def test_a_file_is_read_from_the_role_that_may_sign_it(
    agent: Agent, repository: TufRepository
) -> None:
    repository.delegate("feeds", "feeds/*/*", terminating=True)
    repository.delegate("publisher", "publisher/*/*", terminating=True)
    repository.add_target("feeds", "feeds/linux/a", b"right")
    repository.add_target("feeds", "publisher/linux/evil", b"wrong")
    repository.publish()
    client = agent()
    client.refresh(NOW)

    assert client.read_target("feeds/linux/a", 100) == b"right"
    with pytest.raises(TargetAbsent):
        client.read_target("publisher/linux/evil", 100)


@pytest.mark.parametrize(
    ("bend", "limit"),
    [(lambda d: d + b"x", 100), (lambda d: d[:-1], 100), (lambda d: b"X" + d[1:], 100), (bytes, 4)],
    ids=["one byte more", "one byte less", "other bytes", "more than is wanted"],
)
def test_a_file_of_other_length_or_content_is_refused(
    agent: Agent, repository: TufRepository, bend: Callable[[bytes], bytes], limit: int
) -> None:
    repository.add_target("targets", "file", b"right")
    repository.publish()
    for path in list(repository.files):
        if path.startswith("/targets/"):
            repository.bent[path] = bend
    client = agent()
    client.refresh(NOW)

    with pytest.raises(TrustRefused):
        client.read_target("file", limit)


def test_behind_forty_delegations_a_file_is_still_found(
    agent: Agent, repository: TufRepository
) -> None:
    for i in range(40):
        repository.delegate(f"role{i}", "files/*")
    repository.add_target("role39", "files/last", b"found")
    repository.publish()
    client = agent()
    client.refresh(NOW)

    assert client.read_target("files/last", 100) == b"found"


def test_a_search_that_ends_at_its_limit_does_not_say_absent(
    agent: Agent, repository: TufRepository
) -> None:
    for i in range(10):
        repository.delegate(f"role{i}", "files/*")
    repository.add_target("role9", "files/last", b"found")
    repository.publish()
    client = agent(max_delegations=5)
    client.refresh(NOW)

    with pytest.raises(SearchLimit):
        client.read_target("files/last", 100)


def test_nothing_is_read_before_a_refresh(agent: Agent, repository: TufRepository) -> None:
    repository.add_target("targets", "file", b"right")
    repository.publish()

    with pytest.raises(TrustRefused):
        agent().read_target("file", 100)
