"""Channels: by which ways somebody outside is told, whether they work, and what they took last."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from patchtide.adapters.console.bulk import Act, Rows, carry_out_named
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.trail import names_of
from patchtide.adapters.console.visits import Visit
from patchtide.domain.errors import PatchtideError
from patchtide.server.channels import ChannelList, MadeChannel, Tested

CHANNELS = Rows(field="name", form="/channels/act", noun="channel", plural="channels")
ACTS: Mapping[str, Act] = MappingProxyType(
    {
        "remove-channel": Act(
            operation="channels.remove",
            label="Remove",
            done="removed",
            asks_first="What waits for it is not told, and what is subscribed to it is not sent.",
        )
    }
)
FIELDS = ("name", "kind", "address", "to")
_EMPTY: Mapping[str, str] = MappingProxyType(dict.fromkeys(FIELDS, ""))


async def page(desk: Desk, visit: Visit) -> Reply:
    found: ChannelList = await desk.ask(visit, "channels.list")
    changed = visit.query.get("change", "")
    typed = next(
        (
            {"name": x.name, "kind": x.kind, "address": "", "to": x.to if x.kind == "email" else ""}
            for x in found.items
            if x.name == changed
        ),
        _EMPTY,
    )
    return await _shown(desk, visit, typed=typed)


async def define(desk: Desk, visit: Visit) -> Reply:
    """Show a webhook's secret at once: nothing shows it again."""
    typed = {name: visit.said(name).strip() for name in FIELDS}
    said: dict[str, Any] = {"name": typed["name"]}
    if typed["kind"] == "webhook":
        said["address"] = typed["address"]
    else:
        said["to"] = typed["to"].replace(",", " ").split()
    try:
        made: MadeChannel = await desk.ask(visit, "channels.define", **said)
    except PatchtideError as error:
        return await _shown(desk, visit, error=error, typed=typed)
    if made.secret:
        return await _shown(desk, visit, made=made)
    return see_other("/channels?done=define-channel-1")


async def act(desk: Desk, visit: Visit) -> Reply:
    return await carry_out_named(desk, visit, CHANNELS, ACTS, back="/channels")


async def test(desk: Desk, visit: Visit) -> Reply:
    """Show at once what came of it; nothing keeps that."""
    name = visit.said("name")
    try:
        tested: Tested = await desk.ask(visit, "alerts.test", name=name)
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return await _shown(desk, visit, tested=(name, tested))


async def _shown(
    desk: Desk,
    visit: Visit,
    *,
    error: PatchtideError | None = None,
    typed: Mapping[str, str] = _EMPTY,
    tested: tuple[str, Tested] | None = None,
    made: MadeChannel | None = None,
) -> Reply:
    return desk.page(
        visit,
        "channels.html",
        status=200 if error is None else desk.status_of(error),
        channels=(await desk.ask(visit, "channels.list")).items,
        names=await names_of(desk, visit),
        typed=typed,
        tested=tested,
        made=made,
        error=error,
    )
