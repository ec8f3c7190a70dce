"""A simulated fleet that lives for a while, and what its machines hold to be acknowledged then."""

from __future__ import annotations

from patchtide.entry.simulator.fleet import Fleet


def live(fleet: Fleet, hours: float) -> None:
    for _ in fleet.run(hours):
        pass


def told(fleet: Fleet) -> dict[str, str]:
    """Return what each machine believes to be acknowledged."""
    known = {machine.client.hex(): machine.journal.acknowledged() for machine in fleet.machines}
    return {client: said.digest.hex() for client, said in known.items() if said is not None}
