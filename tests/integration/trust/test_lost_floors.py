"""The floors themselves lost, pushed up by a liar, or undermined by a change of keys (S03, F11)."""

from __future__ import annotations

from pathlib import Path

import pytest

from patchtide.agent.ports.trust import RollbackRefused, TrustRefused
from tests.integration.trust.conftest import NOW, Agent
from tests.simulator.tuf_repository import TufRepository

CACHED = ("timestamp.json", "snapshot.json", "targets.json")


def lose_cache(folder: Path) -> None:
    for name in CACHED:
        (folder / "trust/metadata" / name).write_bytes(b"")


@pytest.mark.parametrize("left", [0, 100, 4096, 20_000])
def test_floors_cut_off_at_any_length_are_reported_as_lost(
    agent: Agent, tmp_path: Path, left: int
) -> None:
    client = agent()
    client.refresh(NOW)
    client.close()
    path = tmp_path / "trust/floors.db"
    path.write_bytes(path.read_bytes()[:left])

    events = agent().refresh(NOW)

    assert [event.code for event in events] == ["floor-lost"]


def test_a_first_start_has_lost_nothing(agent: Agent) -> None:
    assert agent().refresh(NOW) == ()


def test_the_embedded_minimum_holds_when_the_floors_are_lost(
    agent: Agent, repository: TufRepository, tmp_path: Path
) -> None:
    old = repository.copy_files()
    for _ in range(3):
        repository.publish()
    client = agent()
    client.refresh(NOW)
    client.close()
    (tmp_path / "trust/floors.db").unlink()
    lose_cache(tmp_path)
    repository.files = old

    with pytest.raises(RollbackRefused):
        agent(minimum={"timestamp": 3}).refresh(NOW)


def test_the_embedded_minimum_holds_when_keys_are_rotated(
    agent: Agent, repository: TufRepository
) -> None:
    for _ in range(3):
        repository.publish()
    client = agent(minimum={"timestamp": 3})
    client.refresh(NOW)
    repository.rotate("timestamp")
    repository.timestamp.signed.version = 1
    repository.publish_timestamp(bump=False)

    with pytest.raises(RollbackRefused):
        client.refresh(NOW)


def test_a_key_more_for_a_role_opens_no_way_back_for_it(
    agent: Agent, repository: TufRepository, tmp_path: Path
) -> None:
    """The server's keys name an older file, which a kept key had signed."""
    old = repository.snapshot.signed.meta["targets.json"]
    for _ in range(3):
        repository.publish()
    client = agent()
    client.refresh(NOW)
    repository.add_key("targets")
    repository.publish_root(bump=True)
    repository.snapshot.signed.meta["targets.json"] = old
    repository.publish_snapshot()
    lose_cache(tmp_path)

    with pytest.raises(RollbackRefused):
        client.refresh(NOW)


def test_the_server_raises_floors_and_never_lowers_them(
    agent: Agent, repository: TufRepository
) -> None:
    client = agent()
    client.refresh(NOW)
    client.raise_floor("timestamp", 5)
    client.raise_floor("timestamp", 2)

    repository.publish()
    with pytest.raises(RollbackRefused):
        client.refresh(NOW)
    for _ in range(3):
        repository.publish()
    client.refresh(NOW)

    assert client.floor("timestamp") == 5


def test_a_server_that_raised_a_floor_out_of_reach_is_recovered_from_by_new_keys(
    agent: Agent, repository: TufRepository
) -> None:
    client = agent()
    client.refresh(NOW)
    client.raise_floor("timestamp", 1 << 40)
    client.raise_floor("feeds", 1 << 40)
    repository.delegate("feeds", "feeds/*/*")

    for role in ("timestamp", "snapshot"):
        repository.rotate(role)
    repository.publish()
    client.refresh(NOW)

    assert client.floor("timestamp") == repository.timestamp.signed.version


def test_only_a_signed_root_raises_the_root(agent: Agent) -> None:
    client = agent()
    client.refresh(NOW)

    with pytest.raises(TrustRefused):
        client.raise_floor("root", 2)
    assert client.root_version() == 1
