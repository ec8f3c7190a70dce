"""The one command that enrols a machine that is expected, made for it alone and shown once."""

from __future__ import annotations

from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.machine_page import machine_id
from patchtide.adapters.console.replies import Reply
from patchtide.adapters.console.tokens import enrol_line
from patchtide.adapters.console.visits import Visit


async def enrol(desk: Desk, visit: Visit) -> Reply:
    uuid = machine_id(visit)
    found = await desk.ask(visit, "machines.show", machine=uuid)
    approve = visit.said("approve") == "yes"
    issued = await desk.ask(visit, "tokens.create", machine=uuid, approve=approve)
    return desk.page(
        visit,
        "machine_enrolment.html",
        found=found,
        issued=issued,
        waits=approve,
        command=enrol_line(visit, issued),
    )
