"""What root closes in a folder that another user may write, who swaps things meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from patchtide.adapters.agentstate.tightening import DEEPEST, tighten


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    (folder / "trust" / "metadata").mkdir(parents=True, mode=0o700)
    (folder / "trust" / "metadata" / "root.json").touch(mode=0o600)
    folder.chmod(0o700)
    (folder / "trust").chmod(0o700)
    return folder


def test_all_below_is_closed_and_what_is_closed_is_not_told_of(state: Path) -> None:
    metadata = state / "trust" / "metadata"
    for path, was in ((state, 0o755), (metadata, 0o750), (metadata / "root.json", 0o644)):
        path.chmod(was)

    assert tighten(state) == [str(state), str(metadata), str(metadata / "root.json")]
    assert (mode(state), mode(metadata), mode(metadata / "root.json")) == (0o700, 0o700, 0o600)
    assert tighten(state) == []


@pytest.mark.parametrize("becomes", ["a link", "a pipe"])
def test_a_folder_that_becomes_something_else_before_it_is_entered_is_not_followed(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, becomes: str
) -> None:
    outside, real = tmp_path / "outside", os.listdir
    outside.mkdir()
    (outside / "shadow").touch(mode=0o644)
    (outside / "shadow").chmod(0o644)

    def swapped(folder: int) -> list[str]:
        found = real(folder)
        if "trust" in found and (state / "trust").is_dir():
            (state / "trust").rename(tmp_path / "away")
            if becomes == "a link":
                (state / "trust").symlink_to(outside)
            else:
                os.mkfifo(state / "trust")
        return found

    monkeypatch.setattr(os, "listdir", swapped)

    assert tighten(state) == []
    assert mode(outside / "shadow") == 0o644


def test_whoever_nests_folders_without_end_holds_nobody_up(state: Path) -> None:
    deep = state
    for _ in range(DEEPEST + 2):
        deep /= "d"
        deep.mkdir(mode=0o700)
    deep.chmod(0o755)

    assert tighten(state) == []
    assert mode(deep) == 0o755
