"""What the rules of alerts watch, as numbers. None: nothing can be said of it.

Who falls silent within a maintenance window, or tells there that its scan failed, does not count
while that is open: machines restart, and scans fail beside what is being installed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pyroaring import BitMap

from patchtide.domain.alerts.rules import Rule, Unit, Watched
from patchtide.domain.compliance.history import MachineCount
from patchtide.domain.compliance.judgement import Doubt
from patchtide.domain.errors import InvalidDocument
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.history_counting import fleet_count, machine_count
from patchtide.server.in_windows import Since, fell_in_window
from patchtide.server.node_figures import NodeFigures, longest_lag_s, most_waiting
from patchtide.server.ports.calendar import CalendarReading, Entry
from patchtide.server.synchronisation_desk import SynchronisationDesk
from patchtide.server.update_search import answering

RUNS = 50
"""More synchronisations that failed one after the other are not told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFacts:
    """Where the numbers come from."""

    fleet: Fleet
    synchronisations: SynchronisationDesk
    waiting_reports: Callable[[], int]
    disk_used: Callable[[], float]
    """How full the disk of the server's home is, in percent."""
    silent_after: Callable[[], timedelta]
    calendar: CalendarReading

    def of_this_node(self, now: datetime) -> NodeFigures:
        """Return what this node says of itself. Ask in one of the fleet's own threads."""
        return NodeFigures(
            at=now.timestamp(),
            waiting_reports=self.waiting_reports(),
            index_lag_s=self.fleet.backlog().seconds,
        )

    def measured(
        self,
        rules: Sequence[Rule],
        *,
        alarms: Mapping[str, Sequence[float]],
        nodes: Collection[NodeFigures],
    ) -> Mapping[str, float | None]:
        """Return the number of each rule, by its name. Ask in one of the fleet's own threads."""
        measure = _Measure(self, alarms, nodes)
        return {rule.name: measure.of(rule) for rule in rules}


@dataclass(slots=True)
class _Measure:
    """One round; what several rules ask is asked once."""

    facts: AlertFacts
    alarms: Mapping[str, Sequence[float]]
    nodes: Collection[NodeFigures]
    entries: Sequence[Entry] | None = None
    """The calendar's, once a rule asks for them."""

    def of(self, rule: Rule) -> float | None:
        match rule.watched:
            case Watched.COMPLIANCE:
                return self._compliance(rule.query)
            case Watched.SCAN_FAILURES:
                return self._outside(self.facts.fleet.ask(_failed), rule.unit, _told_at)
            case Watched.SILENCE:
                return self._silence(rule.unit)
            case Watched.WAITING_REPORTS:
                return float(most_waiting(self.nodes))
            case Watched.INDEX_LAG:
                return longest_lag_s(self.nodes)
            case Watched.SYNCHRONISATIONS:
                return self._failed_synchronisations()
            case Watched.DISK:
                return self.facts.disk_used()
            case Watched.DIVERGENCE | Watched.CLONES | Watched.LIMITS | Watched.PROPOSALS:
                return float(len(self.alarms.get(rule.watched, ())))

    def _compliance(self, query: str) -> float | None:
        fleet = self.facts.fleet
        try:
            return fleet.ask(lambda view: compliance(fleet, view, query))
        except InvalidDocument:  # a list that it names is gone
            return None

    def _outside(self, machines: BitMap, unit: Unit, since: Since) -> float | None:
        """Return how many of these, or which part of the active ones, are so outside of windows."""
        fleet = self.facts.fleet
        if self.entries is None:
            self.entries = self.facts.calendar.entries()
        now, active = fleet.ask(lambda view: (view.now, len(view.active)))
        inside = fell_in_window(fleet, machines, self.entries, now, since=since)
        count = len(machines) - len(inside)
        if unit is Unit.COUNT:
            return float(count)
        return 100.0 * count / active if active else None

    def _silence(self, unit: Unit) -> float | None:
        after = self.facts.silent_after()
        silent = self.facts.fleet.ask(lambda view: view.silent(view.active, silent_after=after))
        return self._outside(
            silent, unit, lambda view, one: view.silent_from(one, silent_after=after)
        )

    def _failed_synchronisations(self) -> float:
        count = 0
        for run in self.facts.synchronisations.runs(limit=RUNS):
            if run.state == "done":
                break
            count += run.state != "running"
        return float(count)


def compliance(fleet: Fleet, view: View, query: str) -> float | None:
    """Return which part of all active machines, in percent, is up to date on these updates.

    Nobody else is than whom reports on these updates and their history count so.

    Raises:
        InvalidQuery
    """
    if not view.active:
        return None
    if not query:
        return _up_to_date(fleet_count(view).machines)
    updates = [u for u in answering(fleet.updates, view, query) if not u.is_expired]
    return _up_to_date(machine_count(view, updates)) if updates else None


def _up_to_date(count: MachineCount) -> float:
    return 100.0 * count.compliant / count.machines


def _failed(view: View) -> BitMap:
    return view.doubted(Doubt.SCAN_FAILED)


def _told_at(view: View, machine: int) -> float:
    told = view.members[machine].reported_at
    return told.timestamp() if told else 0.0
