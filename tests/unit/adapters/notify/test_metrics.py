"""Figures for Prometheus: well formed, bounded, and those that the dashboard asks for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from patchtide.adapters.notify.metrics import Metrics
from patchtide.domain.catalog.details import Severity
from patchtide.domain.catalog.risk import RiskClass
from patchtide.server.operations import OPERATIONS
from patchtide.server.ports.metrics import (
    Backlog,
    Figures,
    FleetFigures,
    Needed,
    SynchronisationFigures,
)
from patchtide.server.ports.reports import Accepted, Outcome

DASHBOARD = Path(__file__).parents[4] / "packaging/grafana/patchtide.json"
FIGURES = Figures(
    fleet=FleetFigures(
        admitted={"active": 9, "waiting": 1},
        compliance={"compliant": 5, "required": 3, "unknown": 1},
        doubts={"scan-failed": 1},
        scans={"completed": 8, "failed": 1},
        silent=2,
        restarting=1,
        updates=40,
        needed={("critical", "high"): Needed(updates=2, installations=7)},
    ),
    backlog=Backlog(changes=12, seconds=0.5),
    synchronisation=SynchronisationFigures(
        result="done", ended_at=1e9, done_at=1e9 - 60, failed=("rpm",)
    ),
    alerts={"silent": True, "behind": False},
)


def a_node() -> Metrics:
    metrics = Metrics(feeds=("apt", "rpm"))
    metrics.watch("event_connections", "x", lambda: 3)
    metrics.watch("known_machines", "x", lambda: 9)
    metrics.watch("presence_unsaved", "x", lambda: 0)
    metrics.watch_each("writer_waiting", "x", "rank", lambda: {"reports": 2.0})
    metrics.request("agents.report", 202, 0.004)
    metrics.request("agents.report", 202, 0.2)
    metrics.group([Accepted(Outcome.ACCEPTED)] * 3 + [Accepted(Outcome.NEED_FULL)], 0.01)
    return metrics


def families(text: bytes) -> dict[str, Metric]:
    found = list(text_string_to_metric_families(text.decode()))
    names = [family.name for family in found]
    assert len(set(names)) == len(names)
    return {family.name: family for family in found}


def value(found: dict[str, Metric], sample: str, **labels: str) -> float:
    [one] = [
        s.value
        for f in found.values()
        for s in f.samples
        if s.name == sample and s.labels == labels
    ]
    return float(one)


def test_the_exposition_is_read_back_as_it_was_counted() -> None:
    found = families(a_node().exposition(FIGURES))

    assert value(found, "patchtide_machines", state="active") == 9
    assert value(found, "patchtide_machines", state="quarantined") == 0
    assert value(found, "patchtide_installations_required", severity="critical", risk="high") == 7
    assert value(found, "patchtide_requests_total", operation="agents.report", status="202") == 2
    assert value(found, "patchtide_report_group_size_sum") == 4
    assert value(found, "patchtide_reports_total", outcome="need-full") == 1
    assert value(found, "patchtide_writer_waiting", rank="reports") == 2
    assert value(found, "patchtide_feed_read", feed="apt") == 1
    assert value(found, "patchtide_feed_read", feed="rpm") == 0
    assert value(found, "patchtide_index_lag_seconds") == 0.5
    assert value(found, "patchtide_alert", rule="silent") == 1


def test_every_figure_says_what_it_is_and_has_a_name_of_our_own_or_of_the_process() -> None:
    for family in families(a_node().exposition(FIGURES)).values():
        assert family.documentation, family.name
        assert family.type != "unknown", family.name
        assert re.fullmatch(r"(patchtide|process)_[a-z_]+", family.name)


def test_there_are_never_more_figures_than_operations_and_words_of_ours_allow() -> None:
    metrics = a_node()
    for operation in OPERATIONS:
        metrics.request(operation.name, operation.status, 0.01)
    found = families(metrics.exposition(FIGURES))

    assert max(len(f.samples) for f in found.values()) <= 13 * (len(OPERATIONS) + 1)
    of_site = [f for name, f in found.items() if not name.startswith("patchtide_request")]
    most = len(Severity) * len(RiskClass)
    assert all(len(f.samples) <= most for f in of_site)


def test_what_no_release_of_ours_knows_is_counted_as_other() -> None:
    fleet = FleetFigures(
        admitted={}, compliance={}, doubts={}, scans={"thinking": 4, "failed": 1}, silent=0,
        restarting=0, updates=0, needed={},
    )  # fmt: skip
    figures = Figures(
        fleet=fleet, backlog=Backlog(), synchronisation=SynchronisationFigures(), alerts={}
    )
    found = families(Metrics().exposition(figures))

    assert value(found, "patchtide_machines_by_scan", scan="other") == 4


@pytest.mark.parametrize(
    ("last", "is_read"),
    [
        (SynchronisationFigures(result="done"), True),
        (SynchronisationFigures(result="done", failed=("apt",)), False),
        (SynchronisationFigures(result="failed"), False),
        (SynchronisationFigures(result="failed", asked=("apt",)), False),
        (SynchronisationFigures(result="failed", asked=("rpm",)), True),
    ],
)
def test_a_feed_is_read_when_it_was_the_last_time_that_it_was_asked(
    last: SynchronisationFigures, is_read: bool
) -> None:
    assert last.is_read("apt") is is_read


def test_the_dashboard_asks_only_for_figures_that_there_are() -> None:
    board = json.loads(DASHBOARD.read_text())
    samples = {
        sample.name
        for family in families(a_node().exposition(FIGURES)).values()
        for sample in family.samples
    }
    asked = [t["expr"] for panel in board["panels"] for t in panel.get("targets", ())]
    named = {n for e in asked for n in re.findall(r"\b(?:patchtide|process)_[a-z_]+", e)}

    assert len(asked) >= 20
    assert named <= samples


def test_the_dashboard_has_each_panel_once_and_none_over_another() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert taken.isdisjoint(cells)
        taken |= cells
