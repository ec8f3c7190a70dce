"""The figures of a site, put together when monitoring asks for them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from patchtide.domain.access.principals import Principal
from patchtide.domain.compliance.judgement import Doubt
from patchtide.server.alert_book import RULES, STANDINGS, read_rules, read_standings
from patchtide.server.context import Call, Context
from patchtide.server.fleet_view import View
from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.metrics import Figures, FleetFigures, Needed, SynchronisationFigures
from patchtide.server.synchronisation_runs import Last
from patchtide.server.table import Nothing


async def metrics(call: Call, principal: Principal, asked: Nothing) -> bytes:
    context = call.context
    return await call.read_fleet(lambda: context.exposition(figures(context)))


def figures(context: Context) -> Figures:
    """Ask for them in one of the fleet's own threads."""
    fleet = context.fleet
    # Before the view is asked: that brings it up to date.
    backlog = fleet.backlog()
    told = fleet.ask(fleet_figures)
    active = told.admitted.get(ClientState.ACTIVE, 0)
    silent = max(0, active - fleet.heard_of_late(context.silent_after))
    return Figures(
        fleet=replace(told, silent=silent),
        backlog=backlog,
        synchronisation=_synchronisation(context.synchronisations.last()),
        alerts=_alerts(context),
    )


def fleet_figures(view: View) -> FleetFigures:
    """Return all but who is silent, which the view does not know."""
    admitted: Counter[str] = Counter()
    compliance: Counter[str] = Counter()
    doubts: Counter[str] = Counter()
    for (state, how, doubt), count in view.alike().items():
        admitted[state] += count
        if state is ClientState.ACTIVE:
            compliance[how] += count
            doubts[doubt] += count
    del doubts[Doubt.NONE]
    return FleetFigures(
        admitted=admitted,
        compliance=compliance,
        doubts=doubts,
        scans=view.scans(),
        silent=0,
        restarting=view.restarting.intersection_cardinality(view.active),
        updates=len(view.updates),
        needed=_needed(view),
    )


def _needed(view: View) -> dict[tuple[str, str], Needed]:
    updates: Counter[tuple[str, str]] = Counter()
    installations: Counter[tuple[str, str]] = Counter()
    for update in view.updates.values():
        counted = view.counted(update)
        if counted.tally.required:
            updates[update.severity, counted.risk] += 1
            installations[update.severity, counted.risk] += counted.tally.required
    return {
        key: Needed(updates=count, installations=installations[key])
        for key, count in updates.items()
    }


def _alerts(context: Context) -> dict[str, bool]:
    setting = context.lookups.setting
    known = read_standings(setting(STANDINGS)).rules
    rules = read_rules(setting(RULES))
    return {one.name: one.name in known and known[one.name].is_raised for one in rules}


def _synchronisation(last: Last | None) -> SynchronisationFigures:
    if last is None:
        return SynchronisationFigures()
    run = last.run
    return SynchronisationFigures(
        result=run.state,
        ended_at=run.ended_at,
        done_at=last.answered_at,
        asked=run.feeds,
        failed=run.failed,
    )
