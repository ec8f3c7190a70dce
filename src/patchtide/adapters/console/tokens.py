"""Enrolment tokens: made, shown once with the line that uses them, listed, revoked."""

from __future__ import annotations

from patchtide.adapters.console import machine_rows
from patchtide.adapters.console.bulk import Act, Chosen, Rows, carry_out, ids_of
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.listing import Shape
from patchtide.adapters.console.replies import Reply
from patchtide.adapters.console.trail import names_of
from patchtide.adapters.console.visits import Visit
from patchtide.domain.errors import PatchtideError
from patchtide.server.enrolment_tokens import IssuedToken, ShownToken

TOKENS = Rows(field="token", form="/tokens/revoke", noun="token", plural="tokens")
REVOKE = Act(operation="tokens.revoke", label="Revoke", done="revoked", right="tokens.delete")
_FIELDS = ("uses", "hours", "group", "approve")


async def page(desk: Desk, visit: Visit) -> Reply:
    return await _shown(desk, visit)


async def create(desk: Desk, visit: Visit) -> Reply:
    try:
        issued: IssuedToken = await desk.ask(
            visit,
            "tokens.create",
            uses=visit.said("uses"),
            hours=visit.said("hours"),
            group=visit.said("group").strip(),
            approve=visit.said("approve") == "yes",
        )
    except PatchtideError as error:
        return await _shown(desk, visit, error=error, status=desk.status_of(error))
    return await _shown(desk, visit, issued=issued)


async def revoke(desk: Desk, visit: Visit) -> Reply:
    chosen = [Chosen(id=token, name=token) for token in ids_of(visit, TOKENS.field)]
    return await carry_out(desk, visit, TOKENS, "revoke", REVOKE, chosen, back="/tokens")


async def _shown(
    desk: Desk,
    visit: Visit,
    *,
    issued: IssuedToken | None = None,
    error: PatchtideError | None = None,
    status: int = 200,
) -> Reply:
    found = await desk.ask(visit, "tokens.list")
    usable = [token for token in found.items if token.uses_left]
    asked = SHAPE.asked("/tokens", visit.query)
    if kind := visit.query.get("format"):
        return SHAPE.export(usable, asked, kind)
    meant = [token.machine for token in usable if token.machine]
    values = {
        "listed": SHAPE.page(usable, asked),
        "asked": asked,
        "issued": issued,
        "error": error,
        "command": "" if issued is None else enrol_line(visit, issued),
        "names": await names_of(desk, visit),
        "machines": await machine_rows.names(desk, meant) if meant else {},
        "typed": {name: visit.said(name) if error else "" for name in _FIELDS},
    }
    return desk.page(visit, "tokens.html", status=status, **values)


def enrol_line(visit: Visit, issued: IssuedToken) -> str:
    """Return the one line that lets a machine enrol; the token is no argument of any process."""
    server = f"https://{visit.headers.get('host', '')}"
    return f"echo {issued.token} | sudo patchtide agent enrol --server {server} --token-file -"


SHAPE: Shape[ShownToken] = Shape(
    name="tokens",
    text=lambda t: f"{t.id} {t.group} {t.site}",
    sorts={
        "expires": lambda t: t.expires_at,
        "created": lambda t: t.created_at,
        "uses": lambda t: t.uses_left,
        "group": lambda t: t.group,
    },
    sort="expires",
    filters={"group": lambda t: t.group},
    cells={
        "id": lambda t: t.id,
        "group": lambda t: t.group,
        "uses_left": lambda t: t.uses_left,
        "approve": lambda t: t.approve,
        "bound": lambda t: t.bound,
        "machine": lambda t: str(t.machine or ""),
        "created_at": lambda t: t.created_at,
        "expires_at": lambda t: t.expires_at,
    },
)
