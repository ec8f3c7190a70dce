"""What the agent takes up again when it starts, and what of it a power cut may not undo."""

from __future__ import annotations

import msgspec

from patchtide.domain.sequencer.states import (
    Brain,
    Installing,
    Memory,
    Repairing,
    Restarting,
    newborn,
)

_DURABLE_PHASES = (Installing, Restarting, Repairing)
_brain = msgspec.msgpack.Decoder(Brain)


def restored(stored: bytes | None, seed: bytes) -> Brain:
    """Return the stored brain; one that cannot be read, or is another client's, begins anew."""
    if stored is None:
        return newborn(seed)
    try:
        state = _brain.decode(stored)
    except msgspec.DecodeError:
        return newborn(seed)
    return state if state.memory.seed == seed else newborn(seed)


def must_last(before: Brain, after: Brain) -> bool:
    """Say whether a power cut may not undo this step.

    Check-ins, scans and back-offs are found out again after a power cut; what limits or follows
    a change of the machine is not.
    """
    return (
        isinstance(before.phase, _DURABLE_PHASES)
        or isinstance(after.phase, _DURABLE_PHASES)
        or _lasting(before.memory) != _lasting(after.memory)
    )


def _lasting(memory: Memory) -> tuple[object, ...]:
    return (
        memory.orders, memory.attempts, memory.closed, memory.repair_for, memory.restart_for,
        memory.restarts, memory.restored, memory.clock_offset_s,
    )  # fmt: skip
