"""What a system is called, by its `os-release`."""

from __future__ import annotations

from pathlib import Path

import pytest

from patchtide.adapters.platforms.linux import System


@pytest.mark.parametrize(
    ("said", "called"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "debian-12"),
        ('ID=ubuntu\nVERSION_ID="24.04"\nID_LIKE=debian\n', "ubuntu-24.04"),
        ('ID="rocky"\nVERSION_ID="9.4"\nID_LIKE="rhel centos fedora"\n', "rocky-9"),
        ("ID=arch\n", "arch"),
        ("", ""),
    ],
)
def test_machines_are_called_as_the_feeds_call_their_systems(
    tmp_path: Path, said: str, called: str
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text(said)

    assert System(tmp_path).release() == called
