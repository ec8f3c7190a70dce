"""The view of the fleet lies in a file that is whole or as it was before."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from patchtide.adapters.trust.durable import locked
from patchtide.entry.server.fleet_file import FleetFile


def breaks_off() -> Iterator[bytes]:
    yield b"half"
    raise OSError("no room is left")


def names(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "fleet").iterdir())


def test_a_view_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    file = FleetFile(tmp_path / "fleet" / "view")
    assert file.read() is None
    file.write([b"the", b"fleet"])

    with pytest.raises(OSError, match="no room"):
        file.write(breaks_off())

    assert file.read() == b"thefleet"
    assert names(tmp_path) == ["lock", "view"]


def test_what_a_run_left_that_was_ended_while_it_wrote_is_removed(tmp_path: Path) -> None:
    FleetFile(tmp_path / "fleet" / "view").write([b"fleet"])
    (tmp_path / "fleet" / ".view.0a0b0c0d").write_bytes(b"half")

    FleetFile(tmp_path / "fleet" / "view").write([b"another"])

    assert FleetFile(tmp_path / "fleet" / "view").read() == b"another"
    assert names(tmp_path) == ["lock", "view"]
    assert (tmp_path / "fleet" / "view").stat().st_mode & 0o777 == 0o600


def test_while_another_node_writes_nobody_waits_and_nothing_is_written(tmp_path: Path) -> None:
    file = FleetFile(tmp_path / "fleet" / "view")

    with locked(tmp_path / "fleet" / "lock"):
        file.write([b"fleet"])

    assert file.read() is None
    assert file.age_s() == math.inf
