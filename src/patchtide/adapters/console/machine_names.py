"""A machine that a form asks for by its name: what it is called, and which that is."""

from __future__ import annotations

from heapq import nsmallest

from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.rights import MACHINE, Kind
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.collection_checks import machines_called
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View

OFFERED, LONGEST = 20, 256


async def page(desk: Desk, visit: Visit) -> Reply:
    """Offer names that go on as what was typed, while it is typed."""
    fleet, typed = desk.context.fleet, visit.query.get("machine", "").strip()[:LONGEST]
    names = await desk.of_fleet(lambda: fleet.ask(lambda view: _like(fleet, view, typed)))
    return desk.page(visit, "machine_names.html", names=names)


def _like(fleet: Fleet, view: View, typed: str) -> list[str]:
    """Return those that begin so before those that have it anywhere."""
    wanted = typed.casefold()
    having = fleet.machines.values(view, "name").items()
    there = (str(name) for name, machines in having if not machines.isdisjoint(view.present))
    named = ((name.casefold(), name) for name in there if wanted)
    found = ((not key.startswith(wanted), name) for key, name in named if wanted in key)
    return [name for _, name in nsmallest(OFFERED, found)]


async def place_said(desk: Desk, visit: Visit) -> str:
    """Return where rights are to end: at the collection or list chosen, or the machine named.

    Raises:
        InvalidDocument: both are said, or no machine is called so, or several are.
    """
    within, name = visit.said("within"), visit.said("machine").strip()[:LONGEST]
    if not name:
        return within
    if within:
        raise InvalidDocument([Problem("machine", "or another place is named, and not both")])
    if not desk.may_read(visit, Kind.MACHINES):
        raise InvalidDocument([Problem("machine", "is named by who may read machines")])
    fleet = desk.context.fleet
    [machine] = await desk.of_fleet(lambda: machines_called(fleet, [name], where="machine"))
    return f"{MACHINE}{machine}"
