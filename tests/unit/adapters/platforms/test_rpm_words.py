"""What rpm's rows say, and what a machine's own architecture is."""

from __future__ import annotations

import pytest

from patchtide.adapters.platforms.commands import CommandFailed
from patchtide.adapters.platforms.rpm import Installed, own_architecture, rows


def of(*architectures: str) -> list[Installed]:
    return [Installed(f"toy{at}", "1-1", name, 0) for at, name in enumerate(architectures)]


def test_an_epoch_of_nought_is_none_and_keys_are_no_packages() -> None:
    said = ("toy\t0:1-1\tx86_64\t7", "toy\t2:1-1\tx86_64\t8", "gpg-pubkey\t1-1\t(none)\t9")

    assert list(rows(said)) == [
        Installed("toy", "1-1", "x86_64", 7),
        Installed("toy", "2:1-1", "x86_64", 8),
    ]


@pytest.mark.parametrize(
    "line", ["", "toy\t1-1\tx86_64", "toy\t1-1\tx86_64\t(none)", "a\tb\tc\td\te"]
)
def test_a_row_that_was_not_asked_for_is_no_answer(line: str) -> None:
    with pytest.raises(CommandFailed):
        list(rows([line]))


@pytest.mark.parametrize(
    ("found", "own"),
    [
        (of("noarch", "x86_64", "i686", "i686"), "i386"),
        ([*of("i686", "i686"), Installed("rpm", "4-1", "x86_64", 0)], "x86_64"),
        (of("aarch64", "noarch", "noarch"), "aarch64"),
        (of("armv7hl"), "arm"),
        (of("x86_64_v2"), "x86_64_v2"),
        (of("noarch"), None),
    ],
)
def test_the_machines_architecture_is_as_repositories_have_it(
    found: list[Installed], own: str | None
) -> None:
    assert own_architecture(found) == own
