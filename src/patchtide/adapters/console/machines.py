"""Machines: the list of them, what is done to many at once, and the page of one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import groupby
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec

from patchtide.adapters.console import attributes, machine_rows, openings
from patchtide.adapters.console.bulk import MOST, Act, Chosen, Rows, carry_out, ids_of
from patchtide.adapters.console.choices import collection_names
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.fleet_rows import UpdateThere
from patchtide.adapters.console.listing import Shape, exported
from patchtide.adapters.console.machine_cells import CELLS, FILE_CELLS
from patchtide.adapters.console.machine_rows import standing
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.trail import names_of
from patchtide.adapters.console.visits import Visit, local_path
from patchtide.domain.access.rights import Kind
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.catalog.risk import RiskClass
from patchtide.domain.errors import InvalidDocument, NotFound, Problem
from patchtide.server.collection_checks import readable
from patchtide.server.collection_why import Why, whys
from patchtide.server.fact_changes import FactChange
from patchtide.server.machine_updates import (
    UpdatedPackage,
    installed_of,
    packages_in,
    packages_of,
    risks_on,
)
from patchtide.wire.inventory import PackageRowV1

MACHINES = Rows(field="machine", form="/machines/act", noun="machine", plural="machines")
SCAN, POLICY, COLLECT, REPAIR = "scan", "policy", "collect", "repair"
"""What is asked of all that were chosen at once."""
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
    listed = await machine_rows.machines(desk, visit)
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
        query_examples=EXAMPLES,
        collections=await collection_names(desk, visit),
    )


async def completions(desk: Desk, visit: Visit) -> Reply:
    said = {name: visit.query[name] for name in ("text", "position") if visit.query.get(name)}
    found = await desk.ask(visit, "machines.complete", **said)
    return Reply(body=msgspec.json.encode(found), kind="application/json")


async def act(desk: Desk, visit: Visit) -> Reply:
    if visit.said("act") in attributes.ACTS:
        return await attributes.act(desk, visit, await _meant(desk, visit))
    if visit.said("act") == SCAN:
        uuids = _uuids(ids_of(visit, MACHINES.field))
        done = await desk.ask(visit, "machines.scan", machines=uuids)
        return _back(visit, f"scan-{done.machines}")
    if visit.said("act") == POLICY:
        uuids = _uuids(ids_of(visit, MACHINES.field))
        done = await desk.ask(visit, "machines.get-policy", machines=uuids)
        return _back(visit, f"policy-{done.machines}")
    if visit.said("act") == REPAIR:
        for uuid in _uuids(ids_of(visit, MACHINES.field))[:1]:
            await desk.ask(visit, "machines.repair", machine=uuid)
        return _back(visit, "repaired")
    if visit.said("act") == COLLECT:
        those = ids_of(visit, MACHINES.field)
        collection = visit.said("collection")
        done = await desk.ask(visit, "collections.add", collection=collection, names=those)
        return _back(visit, f"collected-{done.changed}")
    doing = ACTS.get(visit.said("act"))
    if doing is None:
        raise InvalidDocument([Problem("act", "is nothing that can be done to a machine")])
    uuids = _uuids(ids_of(visit, MACHINES.field))
    names = await machine_rows.names(desk, uuids)
    chosen = [Chosen(id=str(uuid), name=name) for uuid, name in names.items()]
    back = local_path(visit.said("back"), otherwise="/machines")
    return await carry_out(desk, visit, MACHINES, visit.said("act"), doing, chosen, back=back)


async def _meant(desk: Desk, visit: Visit) -> Sequence[UUID]:
    """Return which machines were chosen, or all that the list shows.

    Raises:
        InvalidDocument: they are more than can be described at once.
    """
    if visit.said("act") != attributes.ALL:
        return _uuids(ids_of(visit, MACHINES.field))
    query = dict(parse_qsl(local_path(visit.said("back")).partition("?")[2]))
    total = (await machine_rows.machines(desk, replace(visit, query=query))).total
    if total > MOST:
        what = f"are {total}, and at most {MOST} are described at once; have them as a file"
        raise InvalidDocument([Problem("machines", f"{what}, change that, and import it")])
    # As a file has them: from the first page to the last.
    listed = await machine_rows.machines(desk, replace(visit, query={**query, "format": "ids"}))
    return [machine.id for machine in listed.rows[:MOST]]


def _back(visit: Visit, done: str) -> Reply:
    back = local_path(visit.said("back"), otherwise="/machines")
    return see_other(f"{back}{'&' if '?' in back else '?'}done={done}")


def _uuids(texts: Sequence[str]) -> Sequence[UUID]:
    try:
        return [UUID(text) for text in texts]
    except ValueError as error:
        raise InvalidDocument([Problem("machine", "is no machine's id")]) from error


async def machine(desk: Desk, visit: Visit) -> Reply:
    uuid = machine_id(visit)
    # What an update is, the catalog says: who may not read it is not told which ones are needed.
    sees_updates = desk.may_read(visit, Kind.CATALOG)
    tab = visit.query.get("tab", "updates" if sees_updates else "facts")
    serve = _TABS.get(tab)
    if serve is None or (tab == "updates" and not sees_updates):
        raise NotFound
    return await serve(desk, visit, uuid)


async def _page(desk: Desk, visit: Visit, uuid: UUID, tab: str, /, **values: Any) -> Reply:
    found = await desk.ask(visit, "machines.show", machine=uuid)
    there: Sequence[Why] = ()
    if desk.may_read(visit, Kind.COLLECTIONS):
        fleet = desk.context.fleet
        there = await desk.of_fleet(
            lambda: fleet.ask(
                lambda view: whys(fleet, view, uuid, among=readable(visit.principal, view))
            )
        )
    return desk.page(
        visit,
        "machine.html",
        found=found,
        standing=standing(found),
        said=attributes.said_of(found),
        tab=tab,
        acts=ACTS,
        there=there,
        changing=await openings.of_machine(desk, visit, uuid, there),
        **values,
    )


async def _updates(desk: Desk, visit: Visit, uuid: UUID) -> Reply:
    rows = await desk.of_fleet(partial(desk.rows.on_machine, uuid, shared=visit.is_background))
    asked = UPDATES.asked(visit.path, {"state": "required", **visit.query})
    if kind := visit.query.get("format"):
        return await asyncio.to_thread(UPDATES.export, rows, asked, kind)
    listed = await asyncio.to_thread(UPDATES.page, rows, asked)
    versions = await desk.of_fleet(partial(_versions, desk, uuid, listed.rows))
    risks = await desk.of_fleet(partial(_risks, desk, uuid, listed.rows))
    return await _page(
        desk, visit, uuid, "updates", listed=listed, asked=asked, versions=versions, risks=risks
    )


def _risks(desk: Desk, uuid: UUID, rows: Sequence[UpdateThere]) -> Mapping[UUID, RiskClass]:
    known = [row.update.known for row in rows]
    return desk.context.fleet.ask(lambda view: risks_on(view, view.member(uuid), known))


def _versions(
    desk: Desk, uuid: UUID, rows: Sequence[UpdateThere]
) -> Mapping[UUID, Sequence[UpdatedPackage]]:
    """Return for each update what is installed there and what it would bring."""
    installed = installed_of(_inventory(desk, uuid, "packages"))
    return {
        row.update.shown.id: packages_of(details, LeafState(row.state), installed)
        for row in rows
        if (details := row.update.known.details) is not None
    }


async def _packages(desk: Desk, visit: Visit, uuid: UUID) -> Reply:
    rows = await desk.of_fleet(partial(_package_rows, desk, uuid))
    asked = PACKAGES.asked(visit.path, visit.query)
    if kind := visit.query.get("format"):
        return await asyncio.to_thread(PACKAGES.export, rows, asked, kind)
    listed = await asyncio.to_thread(PACKAGES.page, rows, asked)
    return await _page(desk, visit, uuid, "packages", listed=listed, asked=asked)


def _package_rows(desk: Desk, uuid: UUID) -> Sequence[PackageRowV1]:
    return packages_in(_inventory(desk, uuid, "packages"))


async def _facts(desk: Desk, visit: Visit, uuid: UUID) -> Reply:
    told = await desk.ask(visit, "machines.fact-changes", machine=uuid)
    changed = [(at, kind, list(rows)) for (at, kind), rows in groupby(told.items, key=_when)]
    return await _page(desk, visit, uuid, "facts", changed=changed, left_out=told.left_out)


def _when(change: FactChange) -> tuple[datetime, str]:
    return change.at, change.kind


async def _attributes(desk: Desk, visit: Visit, uuid: UUID) -> Reply:
    told = await desk.ask(visit, "machines.attribute-changes", machine=uuid, limit=100)
    names = await names_of(desk, visit)
    known = await collection_names(desk, visit)
    return await _page(
        desk, visit, uuid, "attributes", changes=told.items, names=names, collections=known
    )


async def _health(desk: Desk, visit: Visit, uuid: UUID) -> Reply:
    examined = await desk.ask(visit, "machines.doctor", machine=uuid)
    return await _page(desk, visit, uuid, "health", examined=examined)


async def _history(desk: Desk, visit: Visit, uuid: UUID) -> Reply:
    history = await desk.ask(visit, "machines.history", machine=uuid, limit=100)
    names = await names_of(desk, visit)
    return await _page(desk, visit, uuid, "history", history=history.items, names=names)


_TABS = {
    "updates": _updates,
    "packages": _packages,
    "facts": _facts,
    "attributes": _attributes,
    "health": _health,
    "history": _history,
}


def _inventory(desk: Desk, uuid: UUID, kind: str) -> bytes | None:
    fleet = desk.context.fleet
    number = fleet.ask(lambda view: view.member(uuid).number)
    return fleet.store.inventory(number, kind)


def machine_id(visit: Visit) -> UUID:
    try:
        return UUID(visit.parameters["machine"])
    except ValueError as error:
        raise NotFound from error


UPDATES: Shape[UpdateThere] = Shape(
    name="updates-of-machine",
    text=lambda s: s.update.known.text,
    sorts={
        "title": lambda s: s.update.shown.title.casefold(),
        "severity": lambda s: s.update.importance,
        "released": lambda s: s.update.shown.released,
        "kind": lambda s: s.update.shown.classification,
        "cves": lambda s: len(s.update.shown.cves) if s.update.shown.cves else None,
    },
    sort="-severity",
    filters={
        "state": lambda s: s.state,
        "severity": lambda s: s.update.shown.severity,
        "kind": lambda s: s.update.shown.classification,
    },
    cells={
        "id": lambda s: str(s.update.shown.id),
        "title": lambda s: s.update.shown.title,
        "state": lambda s: s.state,
        "severity": lambda s: s.update.shown.severity,
        "classification": lambda s: s.update.shown.classification,
        "cves": lambda s: s.update.shown.cves,
        "released": lambda s: s.update.shown.released,
    },
)
PACKAGES: Shape[PackageRowV1] = Shape(
    name="packages",
    text=lambda p: f"{p.name} {p.version}",
    sorts={
        "name": lambda p: p.name,
        "version": lambda p: p.version,
        "architecture": lambda p: p.architecture,
    },
    sort="name",
    filters={"architecture": lambda p: p.architecture},
    cells={
        "name": lambda p: p.name,
        "version": lambda p: p.version,
        "architecture": lambda p: p.architecture,
    },
)
