"""Machines: the list of them, and what is done to many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec

from patchtide.adapters.console import attributes, machine_rows
from patchtide.adapters.console.bulk import MOST, Act, Chosen, Rows, carry_out, ids_of, no_such_act
from patchtide.adapters.console.choices import collection_names
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.listing import exported
from patchtide.adapters.console.machine_cells import CELLS, FILE_CELLS
from patchtide.adapters.console.replies import Reply, see_done
from patchtide.adapters.console.visits import Visit, local_path
from patchtide.domain.errors import InvalidDocument, PatchtideError, Problem
from patchtide.server.collection_checks import may_ask_updates

MACHINES = Rows(field="machine", form="/machines/act", noun="machine", plural="machines")
TOGETHER = frozenset({"scan", "policy"})
"""What is asked of all that were chosen at once."""
COLLECT, REPAIR = "collect", "repair"
EXAMPLES: tuple[tuple[str, str], ...] = (
    ("package(openssl) < 3.0.11", "has an openssl that is older, by its system's own order"),
    ("requires(severity = critical and age > 14d)", "needs a critical update of two weeks ago"),
    ("service = nginx.service and restart", "runs nginx, and waits for a restart"),
    ("address = 10.1.0.0/16 and required > 0", "in this network, and needs something"),
    ("silent > 7d", "nobody heard of it for a week"),
    ("not package(unattended-upgrades) and os = debian", "lacks a package"),
)
ACTS: Mapping[str, Act] = MappingProxyType(
    {
        "approve": Act(
            operation="machines.approve",
            label="Approve",
            done="approved",
            origins=frozenset({"waiting"}),
            right="machines.approve",
        ),
        "scan": Act(
            operation="machines.scan",
            label="Scan now",
            done="asked to scan",
            origins=frozenset({"active"}),
            right="machines.modify",
        ),
        "policy": Act(
            operation="machines.get-policy",
            label="Get policy",
            done="called",
            origins=frozenset({"active"}),
            right="machines.modify",
        ),
        "full-report": Act(
            operation="machines.full-report",
            label="Ask for a full report",
            done="asked for a full report",
            origins=frozenset({"active"}),
            right="machines.modify",
        ),
        "release": Act(
            operation="machines.release",
            label="Release",
            done="released",
            origins=frozenset({"quarantined"}),
            right="machines.approve",
        ),
        "quarantine": Act(
            operation="machines.quarantine",
            label="Quarantine",
            done="quarantined",
            asks_first="Shut out until somebody releases it again: its reports are not taken.",
            origins=frozenset({"waiting", "active"}),
            right="machines.modify",
        ),
        "decommission": Act(
            operation="machines.decommission",
            label="Retire",
            done="retired",
            asks_first="Gone for good: its key is refused, and to come back it has to enrol anew.",
            origins=frozenset({"expected", "waiting", "active", "quarantined"}),
            right="machines.delete",
        ),
    }
)


async def machines(desk: Desk, visit: Visit) -> Reply:
    listed, collections = await asyncio.gather(
        machine_rows.machines(desk, visit), collection_names(desk, visit)
    )
    if kind := visit.query.get("format"):
        if listed.error is not None:
            raise listed.error
        cells = FILE_CELLS if kind == "import" else CELLS
        return await asyncio.to_thread(exported, "machines", listed.rows, cells, kind)
    return desk.page(
        visit,
        "machines.html",
        listed=listed,
        asked=listed.asked,
        acts=ACTS,
        query_examples=list(_askable(visit)),
        collections=collections,
    )


async def completions(desk: Desk, visit: Visit) -> Reply:
    said = {name: visit.query[name] for name in ("text", "position") if visit.query.get(name)}
    found = await desk.ask(visit, "machines.complete", **said)
    return Reply(body=msgspec.json.encode(found), kind="application/json")


async def act(desk: Desk, visit: Visit) -> Reply:
    doing, back = visit.said("act"), visit.back(otherwise="/machines")
    if doing in attributes.ACTS:
        return await attributes.act(desk, visit, await _meant(desk, visit))
    uuids = _chosen(visit)
    if doing in TOGETHER:
        done = await desk.ask(visit, ACTS[doing].operation, machines=uuids)
        return see_done(back, f"{doing}-{done.machines}")
    if doing == COLLECT:
        those, collection = [str(uuid) for uuid in uuids], visit.said("collection")
        done = await desk.ask(visit, "collections.add", collection=collection, names=those)
        return see_done(back, f"collected-{done.changed}")
    if doing == REPAIR:
        for uuid in uuids[:1]:
            await desk.ask(visit, "machines.repair", machine=uuid)
        return see_done(back, "repaired")
    if doing not in ACTS:
        raise no_such_act(MACHINES.plural)
    names = await machine_rows.names(desk, uuids)
    chosen = [Chosen(id=str(uuid), name=name) for uuid, name in names.items()]
    return await carry_out(desk, visit, MACHINES, doing, ACTS[doing], chosen, back=back)


async def _meant(desk: Desk, visit: Visit) -> Sequence[UUID]:
    """Return which machines were chosen, or all that the list shows.

    Raises:
        InvalidDocument: they are more than can be described at once.
    """
    if visit.said("act") != attributes.ALL:
        return _chosen(visit)
    query = dict(parse_qsl(local_path(visit.said("back")).partition("?")[2]))
    total = (await machine_rows.machines(desk, replace(visit, query=query))).total
    if total > MOST:
        what = f"are {total}, and at most {MOST} are described at once; have them as a file"
        raise InvalidDocument([Problem("machines", f"{what}, change that, and import it")])
    # As a file has them: from the first page to the last.
    listed = await machine_rows.machines(desk, replace(visit, query={**query, "format": "ids"}))
    return [machine.id for machine in listed.rows[:MOST]]


def _chosen(visit: Visit) -> Sequence[UUID]:
    try:
        return [UUID(text) for text in ids_of(visit, MACHINES.field)]
    except ValueError as error:
        raise InvalidDocument([Problem("machine", "is no machine's id")]) from error


def _askable(visit: Visit) -> Iterator[tuple[str, str]]:
    """Yield the queries that the visitor may ask: some speak of updates."""
    for query, says in EXAMPLES:
        with suppress(PatchtideError):
            may_ask_updates(visit.principal, query)
            yield query, says
