"""What a machine lists of itself is bounded before any of it is made."""

from __future__ import annotations

import tracemalloc

import msgspec
import pytest

from patchtide.domain.errors import InvalidDocument
from patchtide.wire.inventory import MAX_PACKAGES, read_hardware, read_package_list
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
