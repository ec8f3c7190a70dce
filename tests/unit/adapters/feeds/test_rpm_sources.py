"""Which hosts a repository's account is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from patchtide.adapters.feeds.rpm_sources import read_sources, read_system

ONE, TWO = "https://one.invalid/r", "https://two.invalid/r"
OWN = "https://joe:s3cret@one.invalid/r"
ACCOUNT = "username=joe\npassword=s3cret"


@pytest.mark.parametrize(
    ("lines", "shown_to"),
    [
        (f"baseurl={OWN} {TWO}", (OWN,)),
        (f"baseurl={ONE} {TWO}\n{ACCOUNT}", (ONE, TWO)),
        (f"metalink={ONE}\n{ACCOUNT}", ()),
    ],
    ids=["in one address", "beside several", "beside a list of mirrors"],
)
def test_an_account_is_for_the_base_addresses_that_it_is_written_with(
    tmp_path: Path, lines: str, shown_to: tuple[str, ...]
) -> None:
    repositories = tmp_path / "etc/yum.repos.d"
    repositories.mkdir(parents=True)
    (tmp_path / "etc/os-release").write_text("ID=rocky\nVERSION_ID=9.4\nID_LIKE=rhel\n")
    (repositories / "a.repo").write_text(f"[a]\ngpgcheck=1\n{lines}\n")

    [source] = read_sources(tmp_path, read_system(tmp_path))

    assert (source.user, source.password) == ("joe", "s3cret")
    assert source.account_for == shown_to
