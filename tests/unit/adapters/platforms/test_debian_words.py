"""What dpkg's status letters and a kernel's names mean."""

from __future__ import annotations

import pytest

from patchtide.adapters.platforms.commands import CommandFailed
from patchtide.adapters.platforms.dpkg import rows
from patchtide.adapters.platforms.linux import kernel_is_old

STATUSES = {
    "installed": ("ii ", "", "2"),
    "held": ("hi ", "", "2"),
    "to be removed, still here": ("ri ", "", "2"),
    "waiting for triggers": ("iW ", "", "2"),
    "its own triggers pending": ("it ", "", "2"),
    "its script failed after an upgrade": ("iF ", "1", "1"),
    "its script failed when it was new": ("iF ", "", None),
    "unpacked only": ("iU ", "1", "1"),
    "half unpacked": ("iHR", "1", "1"),
    "removed, its settings kept": ("rc ", "2", None),
    "never there": ("un ", "", None),
}


@pytest.mark.parametrize(("status", "configured", "version"), STATUSES.values(), ids=STATUSES)
def test_a_package_counts_at_the_version_that_works(
    status: str, configured: str, version: str | None
) -> None:
    found = list(rows([f"toy\t2\tamd64\t{status}\t{configured}"]))

    assert found == ([] if version is None else [("toy", version, "amd64")])


@pytest.mark.parametrize("line", ["", "toy\t2\tamd64", "toy\t2\tamd64\t\t", "a\tb\tc\tii \td\te"])
def test_a_line_that_was_not_asked_for_is_refused(line: str) -> None:
    with pytest.raises(CommandFailed):
        list(rows([line]))


BUILT = (
    "Linux version 6.1.0-37-amd64 (gcc-12 (Debian 12.2.0-14)) #1 SMP Debian 6.1.140-1 (2025-05-22)"
)
OWN = {"linux-image-6.1.0-37-amd64": "6.1.140-1"}
KERNELS = {
    "the newest there is": (OWN, False),
    "replaced under its name": ({"linux-image-6.1.0-37-amd64": "6.1.147-1"}, True),
    "a newer one beside it": ({**OWN, "linux-image-6.1.0-40-amd64": "6.1.153-1"}, True),
    "an older one beside it": ({**OWN, "linux-image-6.1.0-9-amd64": "6.1.27-1"}, False),
    "a newer one of another kind": ({**OWN, "linux-image-6.1.0-40-rt-amd64": "1"}, False),
    "symbols and unsigned images are no kernels": (
        {**OWN, "linux-image-6.1.0-40-amd64-dbg": "1", "linux-image-6.1.0-40-amd64-unsigned": "1"},
        False,
    ),
    "the package that follows the newest": ({**OWN, "linux-image-amd64": "6.1.153-1"}, False),
    "no package's": ({"linux-image-6.1.0-40-amd64": "6.1.153-1"}, False),
}


@pytest.mark.parametrize(("packages", "old"), KERNELS.values(), ids=KERNELS)
def test_a_kernel_waits_for_a_restart(packages: dict[str, str], old: bool) -> None:
    assert kernel_is_old("6.1.0-37-amd64", BUILT, packages) is old


def test_a_kernel_whose_release_has_no_number_behind_it_is_compared_too() -> None:
    packages = {"linux-image-6.12.38+deb13-amd64": "1", "linux-image-6.12.43+deb13-amd64": "2"}

    assert kernel_is_old("6.12.38+deb13-amd64", "", packages)
    assert not kernel_is_old("6.12.43+deb13-amd64", "", packages)
