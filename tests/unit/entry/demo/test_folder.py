"""The folder of a demonstration: nobody else's files are touched, nothing half made is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from patchtide.entry.server.demo.folder import DemoFolder, DemoFolderNotUsable, Made

MADE = Made(at=datetime(2026, 3, 2, tzinfo=UTC), machines=10, name="admin", password="x", token="y")


def test_what_is_not_its_own_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(DemoFolderNotUsable, match="something else"), DemoFolder(tmp_path):
        pass

    assert (tmp_path / "thesis.txt").exists()


def test_what_was_not_finished_is_made_anew_and_what_was_stays(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    with DemoFolder(home) as folder:
        (home / "keys").mkdir()
        assert folder.made is None
    with DemoFolder(home) as folder:
        assert not (home / "keys").exists()
        (home / "keys").mkdir()
        folder.finish(MADE)
    with DemoFolder(home) as folder:
        assert folder.made == MADE
        assert (home / "keys").exists()
        (home / "demo.json").write_text('{"machines": 10}')
    with DemoFolder(home) as folder:
        assert folder.made is None, "what an older version made is made anew"
        assert not (home / "keys").exists()


def test_two_do_not_run_on_one_folder(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    with (
        DemoFolder(home),
        pytest.raises(DemoFolderNotUsable, match="running already"),
        DemoFolder(home),
    ):
        pass
