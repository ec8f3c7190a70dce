"""What a machine told of what lies beneath it, and of its clock on the wall."""

from __future__ import annotations

from patchtide.domain.errors import InvalidDocument
from patchtide.server.ports.fleet import FleetDetails
from patchtide.wire.inventory import HardwareV1, read_hardware


def hardware_of(store: FleetDetails, number: int) -> HardwareV1:
    """Return it; of what cannot be read, nothing."""
    body = store.inventory(number, "hardware")
    try:
        return HardwareV1() if body is None else read_hardware(body)
    except InvalidDocument:
        return HardwareV1()  # taken when more was: the machine's next one will be of today's form
