"""The page of one machine: its updates, packages, facts, health and history, a tab each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any
from uuid import UUID

from patchtide.adapters.console import attributes, openings
from patchtide.adapters.console.choices import collection_names
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.fleet_rows import UpdateThere
from patchtide.adapters.console.listing import Shape
from patchtide.adapters.console.machine_rows import standing
from patchtide.adapters.console.machines import ACTS
from patchtide.adapters.console.replies import Reply
from patchtide.adapters.console.trail import names_of
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.rights import Kind
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.catalog.risk import RiskClass
from patchtide.domain.errors import NotFound
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


async def machine(desk: Desk, visit: Visit) -> Reply:
    uuid = machine_id(visit)
    # What an update is, the catalog says: who may not read it is not told which ones are needed.
    sees_updates = desk.may_read_updates(visit)
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
        changing=await openings.of_machine(desk, visit, uuid),
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
