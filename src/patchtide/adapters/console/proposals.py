"""Proposals: what waits for a second person, one of them, and the rule by which they wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import msgspec

from patchtide.adapters.console.bulk import no_such_act
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, download, see_other
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.rights import Kind
from patchtide.domain.errors import PatchtideError
from patchtide.server.proposals import Enacted

ACTS = frozenset({"approve", "reject", "withdraw", "enact"})
RULE = ("approvers", "machines_over", "delay_h", "lasts_h")
NOTHING: Mapping[str, Any] = MappingProxyType({})


async def page(desk: Desk, visit: Visit) -> Reply:
    return await _listed(desk, visit)


async def one(desk: Desk, visit: Visit) -> Reply:
    proposal = visit.parameters["proposal"]
    if visit.query.get("format") == "json":
        whole = await desk.ask(visit, "proposals.input", proposal=proposal)
        return download(whole, kind="application/json", name=f"proposal-{proposal}.json")
    return await _shown(desk, visit, proposal, is_whole="whole" in visit.query)


async def act(desk: Desk, visit: Visit) -> Reply:
    """Do it, and show what a proposal that is done answered: a link or a token is told once."""
    name, proposal = visit.said("act"), visit.said("proposal")
    if name not in ACTS:
        raise no_such_act("proposals")
    read = {field: visit.said(field) for field in ("content", "whole")}
    said = read if name == "approve" else {}
    try:
        done = await desk.ask(visit, f"proposals.{name}", proposal=proposal, **said)
    except PatchtideError as error:
        return await _shown(desk, visit, proposal, error=error)
    if isinstance(done, Enacted) and done.answer.keys() & {"link", "token"}:
        return await _shown(desk, visit, proposal, answer=done.answer)
    return see_other(f"/proposals/{proposal}?done={name}-proposal")


async def set_rule(desk: Desk, visit: Visit) -> Reply:
    said = {name: visit.said(name) for name in RULE if visit.said(name)}
    try:
        await desk.ask(visit, "settings.set-four-eyes", on=visit.said("on") == "yes", **said)
    except PatchtideError as error:
        return await _listed(desk, visit, error=error)
    return see_other("/proposals?done=four-eyes")


async def _listed(desk: Desk, visit: Visit, *, error: PatchtideError | None = None) -> Reply:
    found = (await desk.ask(visit, "proposals.list", all=True)).items
    may_read = desk.may_read(visit, Kind.ACCOUNTS)
    return desk.page(
        visit,
        "proposals.html",
        status=200 if error is None else desk.status_of(error),
        waiting=[one for one in found if one.state == "open"],
        ended=[one for one in found if one.state != "open"],
        rule=await desk.ask(visit, "settings.four-eyes") if may_read else None,
        error=error,
    )


async def _shown(
    desk: Desk,
    visit: Visit,
    proposal: str,
    *,
    answer: Mapping[str, Any] = NOTHING,
    error: PatchtideError | None = None,
    is_whole: bool = False,
) -> Reply:
    whole = await desk.ask(visit, "proposals.input", proposal=proposal) if is_whole else b""
    return desk.page(
        visit,
        "proposal.html",
        status=200 if error is None else desk.status_of(error),
        one=await desk.ask(visit, "proposals.show", proposal=proposal),
        fields=_fields(whole),
        read=sha256(whole).hexdigest() if whole else "",
        answer=answer,
        server=f"https://{visit.headers.get('host', '')}",
        error=error,
    )


def _fields(whole: bytes) -> Sequence[tuple[str, str]]:
    """Return what was asked, field by field: texts as they were written, a file line by line."""
    said: Mapping[str, Any] = msgspec.json.decode(whole) if whole else {}
    return [
        (name, value if isinstance(value, str) else msgspec.json.encode(value).decode())
        for name, value in said.items()
    ]
