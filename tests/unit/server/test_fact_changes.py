"""How one list of a machine differs from the one before."""

from __future__ import annotations

import pytest

from patchtide.server.fact_changes import ROWS, differences
from patchtide.wire.inventory import HardwareV1, hardware, package_list

BEFORE = [("linux", "6.1", "all"), ("libc6", "2", "amd64"), ("libc6", "2", "i386")]
PACKAGES = {
    "another version": ([("linux", "6.2", "all")], BEFORE[:1], [("linux", "6.1", "6.2")]),
    "installed and removed": (
        [("vim", "9", "all")], BEFORE[:1], [("linux", "6.1", ""), ("vim", "", "9")]
    ),
    "one more kernel": (
        [*BEFORE[:1], ("linux", "6.2", "all")], BEFORE[:1], [("linux", "6.1", "6.1 6.2")]
    ),
    "of two architectures": (
        [("libc6", "3", "amd64"), ("libc6", "3", "i386")], BEFORE[1:],
        [("libc6:amd64", "2", "3"), ("libc6:i386", "2", "3")],
    ),
    "nothing": (BEFORE, BEFORE, []),
}  # fmt: skip


@pytest.mark.parametrize(("after", "before", "expected"), PACKAGES.values(), ids=PACKAGES)
def test_packages_that_came_went_or_are_others_are_told(
    after: list[tuple[str, str, str]],
    before: list[tuple[str, str, str]],
    expected: list[tuple[str, str, str]],
) -> None:
    found = differences("packages", package_list(before), package_list(after))

    assert [(one.what, one.was, one.now) for one in found.rows] == expected


def test_another_kernel_and_each_address_are_told() -> None:
    was = hardware(HardwareV1(kernel="6.1", addresses=("10.0.0.1", "10.0.0.2"), processors=2))
    now = hardware(HardwareV1(kernel="6.2", addresses=("10.0.0.2", "10.0.0.3"), processors=2))

    assert [(one.what, one.was, one.now) for one in differences("hardware", was, now).rows] == [
        ("kernel", "6.1", "6.2"),
        ("address", "10.0.0.1", ""),
        ("address", "", "10.0.0.3"),
    ]


def test_of_a_large_change_the_first_rows_are_kept_and_of_no_list_none() -> None:
    many = package_list([(f"p{n}", "1", "all") for n in range(ROWS + 7)])

    found = differences("packages", package_list([]), many)

    assert (len(found.rows), found.left_out) == (ROWS, 7)
    assert differences("packages", b"\xff", many).rows == ()
