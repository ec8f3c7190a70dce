"""How many connections this process may hold: as many as its limits say and the system allows.

Each costs a descriptor. Whoever runs out of them cannot open the database either, so the limits
on strangers must take effect first.
"""

from __future__ import annotations

import logging
import resource
from dataclasses import dataclass

log = logging.getLogger(__name__)

RESERVE = 256
"""For the database, the published files and the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    connections: int
    handshakes: int
    events: int

    def within(self, descriptors: int) -> Room:
        """Return the same in proportion, if it is more than there is."""
        wanted = self.connections + self.handshakes + self.events
        share = min(1.0, max(0, descriptors - RESERVE) / wanted)
        return Room(
            connections=max(1, int(self.connections * share)),
            handshakes=max(1, int(self.handshakes * share)),
            events=int(self.events * share),
        )


def of_one_address(at_most: int, *, of: int) -> int:
    """Return how many of these one address may hold: never most of them."""
    return max(1, min(at_most, of // 4))


def make_room(wanted: Room) -> Room:
    """Raise the process's limit as far as that takes and the system allows; return what fits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted.connections + wanted.handshakes + wanted.events + RESERVE
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    found = wanted if soft == resource.RLIM_INFINITY else wanted.within(soft)
    if found != wanted:
        log.info(
            "the system allows %d open files: %d connections and %d event lines are accepted",
            soft, found.connections, found.events,
        )  # fmt: skip
    return found
