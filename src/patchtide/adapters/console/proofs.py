"""Proving anew who sits there; then the form that asked for it goes on to where it was sent."""

from __future__ import annotations

from patchtide.adapters.console.console import Desk, ask_for_proof
from patchtide.adapters.console.replies import Reply, go_on
from patchtide.adapters.console.visits import Visit, local_path
from patchtide.domain.errors import PatchtideError

TO, PASSWORD, CREDENTIAL = "proof_to", "proof_password", "proof_credential"
OURS = frozenset({TO, PASSWORD, CREDENTIAL})


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
        form = {name: values for name, values in visit.form.items() if name not in OURS}
        return await ask_for_proof(desk, visit, to=to, form=form, error=error)
    return go_on(to)
