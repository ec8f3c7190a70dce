"""`patchtide agent doctor --repair`: mends what is safe to mend, and says what it did.

Only the agent's own folder and its own service. What guards the machine - its key, its floors, the
counters of what it said - is never touched, and what lies in caches mends itself: it is verified at
each use, and fetched anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from patchtide.adapters.agentstate.tightening import tighten
from patchtide.adapters.platforms import own_service
from patchtide.agent.checkup import CLOSE, START
from patchtide.domain.errors import PatchtideError
from patchtide.domain.findings import Finding

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Repaired:
    check: str
    said: str


def repaired(found: Iterable[Finding], *, state: Path, root: Path | None) -> Iterator[Repaired]:
    """Mend what these findings say can be, each once."""
    asked = {one.repair: one.check for one in reversed(list(found)) if one.repair}
    if check := asked.get(CLOSE):
        yield Repaired(check, _closed(state))
    if root is not None and (check := asked.get(START)):
        yield Repaired(check, _started(root))


def _closed(state: Path) -> str:
    changed = tighten(state)
    more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    names = ", ".join(changed[:SHOWN]) + more
    return f"made its owner's alone: {names}" if changed else "nothing could be changed"


def _started(root: Path) -> str:
    try:
        own_service.start(root)
    except PatchtideError as error:
        return f"{own_service.UNIT} was not started: {error}"
    return f"{own_service.UNIT} was enabled and started"
