"""Updates: which exist, who needs them, and one of them with all that is known about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from heapq import nsmallest
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta
from pyroaring import BitMap

from patchtide.domain.access.principals import Principal
from patchtide.domain.catalog.query_tests import HOLDS
from patchtide.domain.catalog.risk import CLASSES
from patchtide.domain.catalog.update_query import update_fields
from patchtide.domain.compliance.states import Tally
from patchtide.server.context import Call
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import Counted, KnownUpdate
from patchtide.server.listing import After, Column, Limit, Search
from patchtide.server.ordered_updates import ordered_page
from patchtide.server.table import Input, Output
from patchtide.server.update_index import UpdateGround, UpdateIndex
from patchtide.server.update_search import found_by

UpdateId = Annotated[UUID, Meta(description="The update's id.")]
NeededName = Literal["", "required", "installed", "unknown"]
SeverityName = Literal["", "critical", "important", "moderate", "low", "none"]
ClassificationName = Literal[
    "", "critical", "security", "definition", "service-pack", "rollup", "feature-pack", "tool",
    "driver", "general-update", "application",
]  # fmt: skip
RiskName = Literal["", "emergency", "high", "medium", "low"]
StatusName = Literal["", "current", "superseded", "expired"]
UpdateSort = Literal[
    "required", "-required", "unknown", "-unknown", "title", "-title", "severity", "-severity",
    "released", "-released", "risk", "-risk",
]  # fmt: skip

_QUERY = (
    "Only updates that answer to this query, such as"
    " `severity >= important and age < 30d and not superseded`. It may ask for"
    f" {', '.join(update_fields(()))}."
)


class ListUpdates(Input, kw_only=True, frozen=True):
    state: Annotated[
        NeededName, Meta(description="Only updates that are in this state on some machine.")
    ] = ""
    severity: Annotated[SeverityName, Meta(description="Only updates of this severity.")] = ""
    classification: Annotated[
        ClassificationName, Meta(description="Only updates of this kind.")
    ] = ""
    risk: Annotated[RiskName, Meta(description="Only updates of this risk class.")] = ""
    status: Annotated[
        StatusName, Meta(description="Only updates in force, superseded ones, or expired ones.")
    ] = ""
    search: Annotated[Search, Meta(description="Part of the title, vendor's id or a CVE.")] = ""
    query: Annotated[
        str,
        Meta(max_length=4096, description=_QUERY),
    ] = ""
    sort: Annotated[UpdateSort, Meta(description="The order; a minus turns it round.")] = "required"
    after: After = ""
    limit: Limit = 100


class Update(Output, kw_only=True, frozen=True):
    id: UUID
    title: str
    classification: str
    severity: str
    status: str
    """`current`; `superseded`: another one takes its place where that applies; `expired`."""
    risk: str
    """How urgent it is on an ordinary machine, by its severity and this site's rating."""
    licence: str
    """`none`, `open` while nobody has accepted its terms for the site, or `accepted`."""
    required: int
    installed: int
    not_required: int
    unknown: int
    """How many active machines stand how."""
    restart_pending: int
    """How many of those that have it wait for a restart."""
    cves: tuple[str, ...] | None
    """Null while they are not known; an update that names none has an empty list."""
    released: datetime | None
    product: str
    vendor_id: str


class UpdateCounts(Output, kw_only=True, frozen=True):
    required: int
    """Updates that some machine requires."""
    unknown: int
    """Updates that are unknown on some machine."""


class UpdateList(Output, kw_only=True, frozen=True):
    items: tuple[Update, ...]
    total: int
    """How many updates there are that fit, on all pages."""
    counts: UpdateCounts
    """Among those that fit all but the `state` asked for."""
    next: str | None
    """Where to go on; null at the end."""


Place = tuple[int, str, str]
COLUMNS: Mapping[str, Column[Counted]] = {
    "title": Column(lambda c: c.update.order[1:], tuple[str, str]),
    "required": Column(lambda c: (-c.tally.required, c.update.order), tuple[int, Place]),
    "unknown": Column(lambda c: (-c.tally.unknown, c.update.order), tuple[int, Place]),
    "severity": Column(lambda c: c.update.order, Place),
    "released": Column(lambda c: (-_released(c), c.update.order), tuple[float, Place]),
    "risk": Column(lambda c: (-CLASSES.index(c.risk), c.update.order), tuple[int, Place]),
}


def _released(counted: Counted) -> float:
    """Whole seconds, as the index has them."""
    details = counted.update.details
    return float(int(details.released.timestamp())) if details and details.released else 0.0


def classification_of(update: KnownUpdate) -> str:
    return update.details.classification.value if update.details else ""


def mentions(update: KnownUpdate, search: str) -> bool:
    return search.casefold() in update.text


async def list_some(call: Call, principal: Principal, asked: ListUpdates) -> UpdateList:
    fleet = call.context.fleet
    return await call.read_fleet(lambda: fleet.ask(lambda view: listed(fleet.updates, view, asked)))


def listed(index: UpdateIndex, view: View, asked: ListUpdates) -> UpdateList:
    ground = index.ground(view)
    fitting = _fitting(ground, view, asked)
    states = ground.values("state")
    wanted = fitting & states[asked.state] if asked.state else fitting
    page = ordered_page(
        ground,
        wanted,
        lambda number: view.counted(index.updates[number]),
        columns=COLUMNS,
        sort=asked.sort,
        after=asked.after,
        limit=asked.limit,
    )
    return UpdateList(
        items=tuple(map(shown, page.items)),
        total=len(wanted),
        counts=UpdateCounts(
            required=fitting.intersection_cardinality(states["required"]),
            unknown=fitting.intersection_cardinality(states["unknown"]),
        ),
        next=page.next,
    )


def _fitting(ground: UpdateGround, view: View, asked: ListUpdates) -> BitMap:
    """Return which updates are asked for, whatever state machines are in."""
    found = found_by(ground, view, asked.query)
    for field in ("severity", "classification", "risk"):
        if value := getattr(asked, field):
            found = found & ground.values(field).get(value, BitMap())
    if asked.status:
        expired, superseded = (ground.where(x, HOLDS) for x in ("expired", "superseded"))
        by_status = {
            "expired": expired,
            "superseded": superseded - expired,
            "current": ground.rows - superseded - expired,
        }
        found = found & by_status[asked.status]
    return found & ground.mentioning(asked.search.casefold()) if asked.search else found


def shown(counted: Counted) -> Update:
    update, tally = counted.update, counted.tally
    details = update.details
    return Update(
        id=update.id,
        title=update.title,
        classification=classification_of(update),
        severity=update.severity.value,
        status=counted.status,
        risk=counted.risk.value,
        licence=counted.licence,
        required=tally.required,
        installed=tally.installed,
        not_required=tally.not_required,
        unknown=tally.unknown,
        restart_pending=counted.restart_pending,
        cves=details.cves if details else None,
        released=details.released if details else None,
        product=details.product if details else "",
        vendor_id=details.vendor_id if details else "",
    )


def worst(
    updates: Sequence[KnownUpdate], tallies: Sequence[Tally], *, limit: int
) -> Sequence[KnownUpdate]:
    """Return the required ones that matter most: by severity, then by how many need them."""
    needed = ((u, t) for u, t in zip(updates, tallies, strict=True) if t.required)
    first = nsmallest(limit, needed, key=lambda one: (one[0].order[0], -one[1].required))
    return [update for update, _ in first]
