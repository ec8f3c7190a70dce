"""What machines told of what lies beneath them, and of their clocks on the wall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from patchtide.domain.errors import InvalidDocument
from patchtide.server.ports.fleet import FleetDetails
from patchtide.server.said_times import zone_of
from patchtide.wire.inventory import HardwareV1, read_hardware


def hardware_of(store: FleetDetails, number: int) -> HardwareV1:
    """Return it; of what cannot be read, nothing."""
    body = store.inventory(number, "hardware")
    return HardwareV1() if body is None else _read(body)


def zones_of(store: FleetDetails, numbers: Sequence[int]) -> Mapping[int, str]:
    """Return the zone that each of these has told; of one that is none here, nothing."""
    told = store.inventories(numbers, "hardware")
    zones = {number: _read(body).time_zone for number, body in told.items()}
    return {number: zone for number, zone in zones.items() if _is_zone(zone)}


@lru_cache(maxsize=1000)
def _is_zone(name: str) -> bool:
    try:
        zone_of(name)
    except (LookupError, OSError, ValueError):
        return False
    return bool(name)


def _read(body: bytes) -> HardwareV1:
    try:
        return read_hardware(body)
    except InvalidDocument:
        return HardwareV1()  # taken when more was: the machine's next one will be of today's form
