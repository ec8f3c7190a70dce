"""How one machine stands on every update, with what is installed there and what would be."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import nsmallest
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.catalog.details import UpdateDetails
from patchtide.domain.catalog.risk import RiskClass
from patchtide.domain.catalog.versions_deb import deb_key
from patchtide.domain.compliance.states import Tally
from patchtide.domain.errors import InvalidDocument
from patchtide.server.context import Call
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import Counted, KnownUpdate
from patchtide.server.listing import After, Column, Limit, Page, Search, paged
from patchtide.server.machines import MachineId
from patchtide.server.member import Member
from patchtide.server.table import Input, Output
from patchtide.server.update_machines import LeafStateName, StateCounts
from patchtide.server.updates import (
    COLUMNS,
    Place,
    classification_of,
    mentions,
)
from patchtide.wire.inventory import PackageRowV1, read_package_list

MachineUpdateSort = Literal[
    "title", "-title", "severity", "-severity", "released", "-released", "state", "-state"
]


PACKAGES = 200
"""So many are named of one update; a machine may say that it has any number of instances."""


class ListMachineUpdates(Input, kw_only=True, frozen=True):
    machine: MachineId
    state: Annotated[LeafStateName, Meta(description="Only updates in this state.")] = ""
    search: Annotated[Search, Meta(description="Part of the title, vendor's id or a CVE.")] = ""
    sort: Annotated[MachineUpdateSort, Meta(description="The order; a minus turns it round.")] = (
        "state"
    )
    after: After = ""
    limit: Limit = 100


class UpdatedPackage(Output, kw_only=True, frozen=True):
    name: str
    installed: str
    """The version that is there."""
    fixed: str
    """The version from which on it holds the fix."""


class MachineUpdate(Output, kw_only=True, frozen=True):
    id: UUID
    title: str
    state: str
    classification: str
    severity: str
    risk: str
    """Its risk class there: with how it is rated, and where people say that the machine stands."""
    cves: tuple[str, ...] | None
    """Null while they are not known; an update that names none has an empty list."""
    released: datetime | None
    packages: tuple[UpdatedPackage, ...]
    """Those of its packages that are installed there, in a version that is too old if required;
    of very many the first. The machine's inventory has all."""


class MachineUpdateList(Output, kw_only=True, frozen=True):
    items: tuple[MachineUpdate, ...]
    total: int
    """How many updates there are that fit, on all pages."""
    counts: StateCounts
    """Among those that fit all but the `state` asked for."""
    doubt: str
    """Why all of them are unknown; empty: what the machine said is believed."""
    next: str | None
    """Where to go on; null at the end."""


@dataclass(frozen=True, slots=True)
class _Placed:
    update: KnownUpdate
    state: LeafState


@dataclass(frozen=True, slots=True)
class _Answer:
    number: int
    page: Page[_Placed]
    total: int
    counts: Counter[LeafState]
    doubt: str
    risks: Mapping[UUID, RiskClass]
    """Of those on the page."""


Installed = Mapping[str, Sequence[PackageRowV1]]

_ORDER = {
    LeafState.REQUIRED: 0,
    LeafState.UNKNOWN: 1,
    LeafState.INSTALLED: 2,
    LeafState.NOT_REQUIRED: 3,
}


def _column(name: str) -> Column[_Placed]:
    column = COLUMNS[name]
    return Column(lambda placed: column.key(Counted(placed.update, Tally())), column.kind)


_COLUMNS: Mapping[str, Column[_Placed]] = {
    **{name: _column(name) for name in ("title", "severity", "released")},
    "state": Column(lambda placed: (_ORDER[placed.state], placed.update.order), tuple[int, Place]),
}


async def list_some(
    call: Call, principal: Principal, asked: ListMachineUpdates
) -> MachineUpdateList:
    return await call.read_fleet(lambda: _listed(call, asked))


def _listed(call: Call, asked: ListMachineUpdates) -> MachineUpdateList:
    fleet = call.context.fleet
    found = fleet.ask(lambda view: _found(view, asked))
    installed = installed_of(fleet.store.inventory(found.number, "packages"))
    items = tuple(_shown(placed, installed, found.risks) for placed in found.page.items)
    return MachineUpdateList(
        items=items,
        total=found.total,
        counts=StateCounts(
            required=found.counts[LeafState.REQUIRED],
            installed=found.counts[LeafState.INSTALLED],
            not_required=found.counts[LeafState.NOT_REQUIRED],
            unknown=found.counts[LeafState.UNKNOWN],
        ),
        doubt=found.doubt,
        next=found.page.next,
    )


def _found(view: View, asked: ListMachineUpdates) -> _Answer:
    member = view.member(asked.machine)
    state_on = view.states_on(member)
    fitting = [
        _Placed(update, state_on(update))
        for update in view.updates.values()
        if mentions(update, asked.search)
    ]
    wanted = [placed for placed in fitting if asked.state in ("", placed.state)]
    page = paged(wanted, columns=_COLUMNS, sort=asked.sort, after=asked.after, limit=asked.limit)
    return _Answer(
        member.number,
        page,
        len(wanted),
        Counter(placed.state for placed in fitting),
        view.doubt(member).value,
        risks_on(view, member, (placed.update for placed in page.items)),
    )


def risks_on(
    view: View, member: Member, updates: Iterable[KnownUpdate]
) -> Mapping[UUID, RiskClass]:
    """Return the risk class that each of them has on the machine."""
    exposure = member.client.described.exposure
    return {update.id: view.risk_of(update, exposure) for update in updates}


def installed_of(body: bytes | None) -> Installed:
    """Return the instances of each package, of very many the first: each is compared later."""
    found: dict[str, list[PackageRowV1]] = defaultdict(list)
    for row in packages_in(body):
        instances = found[row.name]
        if len(instances) < PACKAGES:
            instances.append(row)
    return found


def packages_in(body: bytes | None) -> Sequence[PackageRowV1]:
    """Return the rows of a stored list; none of one that would not be taken today."""
    try:
        return read_package_list(body) if body else ()
    except InvalidDocument:
        return ()


def _shown(placed: _Placed, installed: Installed, risks: Mapping[UUID, RiskClass]) -> MachineUpdate:
    update, details = placed.update, placed.update.details
    return MachineUpdate(
        id=update.id,
        title=update.title,
        state=placed.state.value,
        classification=classification_of(update),
        severity=update.severity.value,
        risk=risks[update.id].value,
        cves=details.cves if details else None,
        released=details.released if details else None,
        packages=packages_of(details, placed.state, installed) if details else (),
    )


def packages_of(
    details: UpdateDetails, state: LeafState, installed: Installed
) -> tuple[UpdatedPackage, ...]:
    found = {
        (fixed.name, row.version, fixed.version)
        for fixed in details.packages
        for row in installed.get(fixed.name, ())
        if fixed.architecture in (row.architecture, "all")
        and (state is not LeafState.REQUIRED or deb_key(row.version) < deb_key(fixed.version))
    }
    first = nsmallest(PACKAGES, found)
    return tuple(UpdatedPackage(name=n, installed=i, fixed=f) for n, i, f in first)
