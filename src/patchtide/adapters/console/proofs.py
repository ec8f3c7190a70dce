"""Proving anew who sits there; then the form that asked for it goes on to where it was sent."""

from __future__ import annotations

from patchtide.adapters.console.console import Desk, ask_for_proof
from patchtide.adapters.console.proof_fields import CREDENTIAL, PASSWORD, TO, going_on
from patchtide.adapters.console.replies import Reply
from patchtide.adapters.console.visits import Visit, local_path
from patchtide.domain.errors import PatchtideError


async def prove(desk: Desk, visit: Visit) -> Reply:
    to = local_path(visit.said(TO))
    try:
        await desk.ask(
            visit,
            "sessions.prove",
            password=visit.said(PASSWORD),
            credential=visit.said(CREDENTIAL),
            host=visit.host,
        )
    except PatchtideError as error:
        return await ask_for_proof(desk, visit, to=to, error=error)
    # A redirect that keeps the form would have the browser send the proof along with it.
    return desk.page(visit, "proved.html", to=to, fields=going_on(visit.form))
