"""What a machine lists of itself is bounded before any of it is made."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import msgspec
import pytest

from patchtide.domain.applicability.facts import YES, Asked, Facts, by_name
from patchtide.domain.catalog.rules import PackageFormat
from patchtide.domain.errors import InvalidDocument
from patchtide.wire.inventory import (
    MAX_PACKAGES,
    facts_list,
    facts_of,
    read_facts,
    read_hardware,
    read_package_list,
)
from patchtide.wire.messages import INVENTORY_LIMITS


def test_a_list_of_empty_rows_as_long_as_it_may_be_is_refused_before_a_row_is_made() -> None:
    rows = INVENTORY_LIMITS["packages"] // 4 - 2
    body = b"\xdd" + rows.to_bytes(4, "big") + b"\x93\xa0\xa0\xa0" * rows
    tracemalloc.start()

    with pytest.raises(InvalidDocument, match=f"length <= {MAX_PACKAGES}"):
        read_package_list(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 1 << 20


@pytest.mark.parametrize("name", ["addresses", "services"])
def test_a_machine_has_no_million_addresses_or_services(name: str) -> None:
    with pytest.raises(InvalidDocument, match="length <= 2000"):
        read_hardware(msgspec.msgpack.encode({name: ("",) * 2_001}))
    assert len(getattr(read_hardware(msgspec.msgpack.encode({name: ("",) * 2_000})), name)) == 2_000


PACKAGES = by_name([("toy", "1", "amd64"), ("toy", "2", "i386")])
TOLD = Facts(
    os_id="debian",
    os_version="12",
    architecture="amd64",
    modules={},
    kernel="6.1.0-18",
    packages={PackageFormat.DEB: PACKAGES},
    answers={Asked("file.exists", ("/etc/toy",)): YES, Asked("file.size", ("/etc/toy",)): ("7",)},
)


def test_the_server_has_the_very_facts_that_the_machine_had() -> None:
    assert facts_of(read_facts(facts_list(TOLD)), PACKAGES) == TOLD
    assert facts_of(read_facts(facts_list(Facts())), None) == Facts()


def test_packages_that_nobody_can_place_are_not_collected_rather_than_absent() -> None:
    both = replace(TOLD, packages={PackageFormat.DEB: {}, PackageFormat.RPM: {}})

    assert facts_of(read_facts(facts_list(both)), PACKAGES).packages == {}
    assert facts_of(read_facts(facts_list(TOLD)), None).packages == {}


def test_what_is_too_long_for_the_wire_is_untold_and_keeps_nothing_else_back() -> None:
    long = Asked("query.text", ("x" * 257,))
    wordy = Asked("query.text", ("motd",))
    said = replace(TOLD, os_id="x" * 257, answers={long: ("a",), wordy: ("b" * 4_097,)})

    kept = facts_of(read_facts(facts_list(said)), PACKAGES)

    assert kept == replace(TOLD, os_id=None, answers={})
