"""The named reports: which there are, and how one is made as of now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

import msgspec

from patchtide.domain.errors import InvalidDocument, NotFound, Problem
from patchtide.server.collection_view import known as collection_named
from patchtide.server.context import Context
from patchtide.server.fleet_view import View
from patchtide.server.named_report import Denominators, Report
from patchtide.server.ports.update_lists import EVERYBODY
from patchtide.server.report_attributes import undescribed
from patchtide.server.report_compliance import by_update, overall
from patchtide.server.report_grid import MACHINE
from patchtide.server.report_health import health
from patchtide.server.report_history import history
from patchtide.server.report_machines import by_machine, restarts, silent
from patchtide.server.report_scans import errors, scans
from patchtide.server.report_scope import AskReport, Chosen, Scope
from patchtide.server.report_table import Asking, Maker, address
from patchtide.server.report_targets import targets
from patchtide.server.report_updates import machine, matrix, superseded
from patchtide.server.report_words import (
    AILMENTS,
    DOUBTS,
    GROUPINGS,
    LACKS,
    RISKS,
    SCANS,
    STANDINGS,
    STATES,
    TARGET_STATES,
)
from patchtide.server.saved_searches import owners_for


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedReport:
    title: str
    says: str
    begin: Callable[[Context, AskReport], Maker]
    """Reads what must be read before the fleet is asked."""
    takes: Collection[str] = ()
    """Which parameters it takes besides those that say what it is about."""
    states: Mapping[str, str] = field(default_factory=dict)
    """What its rows may be narrowed to, in words."""
    sort: str = ""
    lacks: Collection[str] = ()
    """Of what says what a report is about, what means nothing to this one."""
    page: str = ""
    """Another page of the console that shows the same."""


def given(make: Maker) -> Callable[[Context, AskReport], Maker]:
    return lambda context, asked: make


NAMED: Mapping[str, NamedReport] = MappingProxyType(
    {
        "overall": NamedReport(
            title="Overall compliance",
            says="How many machines have all of these updates, need some, wait for a restart,"
            " or cannot be judged; also group by group.",
            begin=given(overall),
            takes=("by",),
        ),
        "by-update": NamedReport(
            title="Compliance by update",
            says="Each update, and how many machines need it, have it, or are unknown.",
            begin=given(by_update),
            takes=("state",),
            states={**STATES, "restart": "Waits for a restart"},
            sort="required",
        ),
        "by-machine": NamedReport(
            title="Compliance by machine",
            says="Each machine, how it stands on these updates, and how many it needs.",
            begin=given(by_machine),
            takes=("state", "doubt"),
            states=STANDINGS,
            sort="required",
        ),
        "matrix": NamedReport(
            title="Updates by groups of machines",
            says="Each update, and on how many machines of each group it is needed; or machine by"
            " machine how each stands on it, and why.",
            begin=given(matrix),
            takes=("by", "state"),
            states=STATES,
            sort="all",
        ),
        "machine": NamedReport(
            title="Updates of one machine",
            says="What one machine needs; on request also what it has.",
            begin=given(machine),
            takes=("machine", "state"),
            states={**STATES, "any": "All"},
            sort="severity",
        ),
        "scans": NamedReport(
            title="Scan states",
            says="How each machine's last look for updates went.",
            begin=given(scans),
            takes=("state", "error"),
            states=SCANS,
            sort="name",
        ),
        "errors": NamedReport(
            title="Errors, by how many machines they hit",
            says="What kept machines from looking for updates, the most frequent first.",
            begin=given(errors),
            sort="machines",
        ),
        "silent": NamedReport(
            title="Machines not reporting",
            says="Machines that were not heard of late: since when, and why as far as is known.",
            begin=given(silent),
            sort="-heard_at",
        ),
        "restarts": NamedReport(
            title="Pending restarts",
            says="Machines where what is installed takes effect only after a restart.",
            begin=given(restarts),
            sort="name",
        ),
        "superseded": NamedReport(
            title="Superseded but still needed",
            says="Updates that something newer replaces, on machines where the newer one does"
            " not apply.",
            begin=given(superseded),
            sort="required",
        ),
        "undescribed": NamedReport(
            title="Machines without valid data",
            says="Machines of which nobody has said whose they are, who manages them or how they"
            " may be restarted, or that have no schedule whose collection is there, with a window.",
            begin=undescribed,
            takes=("state",),
            states=LACKS,
            sort="name",
        ),
        "health": NamedReport(
            title="Health of machines",
            says="Machines of which something keeps the truth from their administrator, or updates"
            " from them: what, and since when.",
            begin=health,
            takes=("state",),
            states=AILMENTS,
            sort="name",
        ),
        "history": NamedReport(
            title="History, day by day",
            says="How all machines stood on each day, or those of a collection: on everything, an"
            " update, a list or a shared search.",
            begin=history,
            takes=("days_back",),
            sort="-date",
            lacks=("query", "machines", "machine"),
            page="/history",
        ),
        "targets": NamedReport(
            title="Updates against targets",
            says="Each update that some machine needed: how many have it, by when how many are"
            " to, and whether they will.",
            begin=targets,
            takes=("state", "risk"),
            states=TARGET_STATES,
            page="/targets",
        ),
    }
)


def compiled(context: Context, asked: AskReport, *, owner: str, is_whole: bool = False) -> Report:
    """Return the report as of now; it blocks for a moment, so ask it in one of the fleet's threads.

    `owner`: whose saved searches are meant besides everybody's. `is_whole`: all rows, not a page.

    Raises:
        InvalidDocument: parameters contradict each other, or name what there is not.
        InvalidQuery
        NotFound: there is no such list, search, update or machine.
    """
    named = NAMED[asked.name]
    _check(asked, named)
    # Days of a search of one's own were never counted.
    chosen = _chosen(context, asked, owner="" if "query" in named.lacks else owner)
    if chosen.is_private:
        # Its name means something else, or nothing, to whoever follows a link.
        asked = msgspec.structs.replace(asked, search="", query=chosen.query)
    if asked.machines:
        context.fleet.follow_facts()
    make = named.begin(context, asked)
    return context.fleet.ask(
        lambda view: _made(context, view, asked, named, chosen, make, is_whole=is_whole)
    )


_NARROWING = ("by", "state", "doubt", "error", "risk", "days_back")
"""What some reports take, and some not; each takes what says what it is about."""


def _check(asked: AskReport, named: NamedReport) -> None:
    if vain := [name for name in named.lacks if getattr(asked, name)]:
        what = "means nothing to this report: that was not counted"
        raise InvalidDocument([Problem(name, what) for name in vain])
    if vain := [x for x in _NARROWING if getattr(asked, x) and x not in named.takes]:
        # To answer with all rows would be to say that all of them are meant.
        raise InvalidDocument([Problem(name, "means nothing to this report") for name in vain])
    if asked.by == MACHINE and asked.name != "matrix":
        raise InvalidDocument([Problem("by", "is machine in the matrix alone")])
    about = [name for name in ("list", "search", "query", "update") if getattr(asked, name)]
    if len(about) > 1:
        what = f"say one of {' and '.join(about)}: each of them says which updates"
        raise InvalidDocument([Problem(about[1], what)])


def _chosen(context: Context, asked: AskReport, *, owner: str) -> Chosen:
    if asked.search:
        reading = context.reading.update_lists
        owners = owners_for(context.fleet, owner)
        found = reading.searches([one for one in owners if one])
        named = [one for one in found if one.name == asked.search]
        if not named:
            raise NotFound(f"no search is saved as {asked.search}")
        # Of two of one name the own one is meant.
        mine = max(named, key=lambda one: one.owner != EVERYBODY)
        return Chosen(
            f"the search {asked.search}: {mine.query or 'everything'}",
            mine.query,
            is_private=mine.owner != EVERYBODY,
        )
    if asked.list:
        return Chosen(f"the list {asked.list}", on=asked.list)
    lists = context.fleet.lists
    every = "all" if lists is None else f"all on the lists {', '.join(sorted(lists))}"
    return Chosen(asked.query or every, asked.query)


def _made(
    context: Context,
    view: View,
    asked: AskReport,
    named: NamedReport,
    chosen: Chosen,
    make: Maker,
    *,
    is_whole: bool,
) -> Report:
    if asked.list and asked.list not in view.lists:
        raise NotFound(f"there is no list {asked.list}")
    scope = Scope(context.fleet, view, asked, chosen)
    asking = Asking(
        scope=scope,
        asked=asked,
        is_whole=is_whole,
        silent_after=context.silent_after,
        default_sort=named.sort,
    )
    table = make(asking)
    since = scope.members.intersection_cardinality(scope.view.uncounted)
    return Report(
        name=asked.name,
        title=named.title,
        says=named.says,
        site=context.site_name,
        parameters=_in_words(scope),
        at=scope.view.as_of,
        waiting=context.reports_waiting() + since,
        silent=len(view.silent(scope.members, silent_after=context.silent_after)),
        silent_after_s=int(context.silent_after / timedelta(seconds=1)),
        denominators=_denominators(scope),
        figures=table.figures,
        columns=table.columns,
        rows=table.rows,
        total=table.total,
        first=1 if is_whole else (asked.page - 1) * asked.limit + 1,
        sort=asking.sort,
        link=_link(asked),
    )


def _denominators(scope: Scope) -> Denominators:
    reasons = {doubt.value: len(machines) for doubt, machines in scope.doubts.items()}
    return Denominators(members=len(scope.members), reporting=len(scope.part.asked), doubts=reasons)


def _link(asked: AskReport) -> str:
    names = (name for name in asked.__struct_fields__ if name not in ("name", "page", "limit"))
    return address(asked.name, {name: getattr(asked, name) for name in names})


def _in_words(scope: Scope) -> Sequence[tuple[str, str]]:
    asked = scope.asked
    if asked.update is not None:
        updates = scope.updates[0].title
    else:
        updates = f"{scope.chosen.words} ({len(scope.updates)})"
    machines = asked.machines or "all that are let in"
    if asked.machine is not None:
        machines = scope.view.member(asked.machine).client.name
    if asked.collection is not None:
        inside = collection_named(scope.view, asked.collection).name
        machines = f"{machines} in {inside}" if asked.machines else f"those in {inside}"
    words = {**AILMENTS, **STATES, **STANDINGS, **SCANS, **TARGET_STATES, **LACKS}
    said = [("Updates", updates), ("Machines", f"{machines} ({len(scope.members)})")]
    more = (
        ("Side by side", GROUPINGS.get(asked.by, "")),
        ("Only", words.get(asked.state, asked.state)),
        ("Unknown because it", DOUBTS.get(asked.doubt, "")),
        ("Error", asked.error),
        ("Risk class", RISKS.get(asked.risk, "")),
        ("Days back", str(asked.days_back or "")),
    )
    return [*said, *(pair for pair in more if pair[1])]
