"""Figures of a node and its site in the form that Prometheus reads.

What happens often only adds to a counter. Everything else is put together when somebody asks.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from patchtide.domain.catalog.details import Severity
from patchtide.domain.catalog.risk import RiskClass
from patchtide.domain.compliance.judgement import Compliance, Doubt
from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.metrics import Figures, FleetFigures, Needed, SynchronisationFigures
from patchtide.server.ports.reports import Accepted, Outcome

_SECONDS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.3, 1.0, 3.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SCANS = ("none", "running", "completed", "waiting-catalog", "failed", "retrying")
RESULTS = ("running", "done", "failed", "interrupted")
Values = Callable[[], Mapping[str, float]]


class Metrics:
    """Everything that one node counts. Any thread may count, and any may ask."""

    def __init__(self, *, feeds: Sequence[str] = ()) -> None:
        # Otherwise there is twice as much to read, for what nobody asks.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._feeds = feeds
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "patchtide_requests_total",
            "Requests that were answered, by operation and status.",
            ("operation", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "patchtide_request_duration_seconds",
            "From a request's last byte to its answer, by operation.",
            ("operation",),
            buckets=_SECONDS,
            registry=registry,
        )
        reports = Counter(
            "patchtide_reports_total",
            "Reports of machines by what became of them.",
            ("outcome",),
            registry=registry,
        )
        self._reports = {outcome: reports.labels(outcome) for outcome in Outcome}
        self._groups = Histogram(
            "patchtide_report_group_size",
            "How many reports were made durable together.",
            buckets=_SIZES,
            registry=registry,
        )
        self._commits = Histogram(
            "patchtide_report_group_duration_seconds",
            "How long it took to make a group of reports durable.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._answered: dict[tuple[str, int], Callable[[], None]] = {}
        self._lasted: dict[str, Callable[[float], None]] = {}
        ProcessCollector(registry=registry)

    def request(self, operation: str, status: int, seconds: float) -> None:
        """Note a request that was answered."""
        known = self._answered.get((operation, status))
        if known is None:
            known = self._answered[operation, status] = self._requests.labels(operation, status).inc
            self._lasted[operation] = self._seconds.labels(operation).observe
        known()
        self._lasted[operation](seconds)

    def group(self, accepted: Sequence[Accepted], seconds: float) -> None:
        """Note reports that were taken together."""
        self._groups.observe(len(accepted))
        self._commits.observe(seconds)
        for outcome, count in Tally(one.outcome for one in accepted).items():
            self._reports[outcome].inc(count)

    def watch(self, name: str, sentence: str, value: Callable[[], float]) -> None:
        """Tell of what somebody else knows, each time anybody asks."""
        Gauge(f"patchtide_{name}", sentence, registry=self._registry).set_function(value)

    def watch_each(self, name: str, sentence: str, label: str, values: Values) -> None:
        """Tell of several that somebody else knows, by their label."""
        self._registry.register(_Each(f"patchtide_{name}", sentence, label, values))

    def exposition(self, figures: Figures) -> bytes:
        """Return the node's figures and its site's."""
        asked = CollectorRegistry()
        asked.register(_OfSite(figures, self._feeds))
        return generate_latest(self._registry) + generate_latest(asked)


class _Each(Collector):
    def __init__(self, name: str, sentence: str, label: str, values: Values) -> None:
        self._name, self._sentence, self._label = name, sentence, label
        self._values = values

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield _by(self._name, self._sentence, self._label, self._values())


class _OfSite(Collector):
    def __init__(self, figures: Figures, feeds: Sequence[str]) -> None:
        self._figures = figures
        self._feeds = feeds

    def collect(self) -> Iterator[GaugeMetricFamily]:
        figures = self._figures
        yield from _of_fleet(figures.fleet)
        yield GaugeMetricFamily(
            "patchtide_index_waiting_changes",
            "Changes of the database that the view of the fleet has not taken up.",
            figures.backlog.changes,
        )
        yield GaugeMetricFamily(
            "patchtide_index_lag_seconds",
            "For how long there have been such changes.",
            figures.backlog.seconds,
        )
        yield _by(
            "patchtide_alert", "1 for each rule of an alert that is raised, 0 for one that is not.",
            "rule", {name: float(is_raised) for name, is_raised in figures.alerts.items()},
        )  # fmt: skip
        yield from _of_synchronisation(figures.synchronisation, self._feeds)


def _of_fleet(fleet: FleetFigures) -> Iterator[GaugeMetricFamily]:
    yield _by(
        "patchtide_machines", "Machines by what was decided of them.", "state",
        _all(ClientState, fleet.admitted),
    )  # fmt: skip
    yield _by(
        "patchtide_machines_by_compliance", "Active machines by how they stand.", "standing",
        _all(Compliance, fleet.compliance),
    )  # fmt: skip
    yield _by(
        "patchtide_machines_unknown", "Active machines that stand nobody knows how, by the reason.",
        "reason", _all([d for d in Doubt if d is not Doubt.NONE], fleet.doubts),
    )  # fmt: skip
    yield _by(
        "patchtide_machines_by_scan", "Active machines by the state of their scan.", "scan",
        _all(SCANS, fleet.scans),
    )  # fmt: skip
    yield GaugeMetricFamily(
        "patchtide_machines_silent", "Active machines that were not heard of late.", fleet.silent
    )
    yield GaugeMetricFamily(
        "patchtide_machines_restart_pending", "Active machines that wait for a restart.",
        fleet.restarting,
    )  # fmt: skip
    yield GaugeMetricFamily("patchtide_updates", "Updates that are published.", fleet.updates)
    required = GaugeMetricFamily(
        "patchtide_updates_required", "Updates that some machine requires.",
        labels=("severity", "risk"),
    )  # fmt: skip
    installations = GaugeMetricFamily(
        "patchtide_installations_required", "Machines that require an update, over all updates.",
        labels=("severity", "risk"),
    )  # fmt: skip
    for severity in Severity:
        for risk in RiskClass:
            needed = fleet.needed.get((severity, risk), Needed())
            required.add_metric((severity, risk), needed.updates)
            installations.add_metric((severity, risk), needed.installations)
    yield from (required, installations)


def _of_synchronisation(
    last: SynchronisationFigures, feeds: Sequence[str]
) -> Iterator[GaugeMetricFamily]:
    yield _by(
        "patchtide_synchronisation", "1 for what became of the last synchronisation.", "result",
        {result: float(last.result == result) for result in RESULTS},
    )  # fmt: skip
    yield GaugeMetricFamily(
        "patchtide_synchronisation_ended_timestamp_seconds",
        "When the last synchronisation ended; 0: not yet.",
        last.ended_at,
    )
    yield GaugeMetricFamily(
        "patchtide_synchronisation_done_timestamp_seconds",
        "When the last synchronisation began that read all feeds; 0: none has.",
        last.done_at,
    )
    yield _by(
        "patchtide_feed_read", "1 for each feed that could be read when it was last asked.", "feed",
        {feed: float(last.is_read(feed)) for feed in feeds if last.ended_at},
    )  # fmt: skip


def _by(name: str, sentence: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, sentence, labels=(label,))
    for value, count in values.items():
        family.add_metric((value,), count)
    return family


def _all(names: Iterable[str], counts: Mapping[str, int]) -> Mapping[str, float]:
    """Return the count of each, also of what there is none; of strange ones their sum."""
    known = {str(name): float(counts.get(name, 0)) for name in names}
    strange = sum(counts.values()) - sum(known.values())
    return known | {"other": strange} if strange else known
