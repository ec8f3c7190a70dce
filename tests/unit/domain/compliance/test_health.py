"""What a server finds of one machine: what depends on what, what is wrong, and what is repaired."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from patchtide.domain.compliance.health import FULL_REPORT, SCAN, Seen, examined, is_too_old
from patchtide.domain.compliance.judgement import Doubt
from patchtide.domain.findings import Level

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WELL = Seen(
    now=NOON,
    state="active",
    enrolled_at=NOON - 90 * 24 * HOUR,
    heard_at=NOON - HOUR / 2,
    policy_at=NOON - HOUR / 2,
    silent_after=3 * HOUR,
    reported_at=NOON - 20 * HOUR,
    doubt=Doubt.NONE,
    full_report=False,
    scan="completed",
    scan_error="",
    scanned_at=NOON - 20 * HOUR,
    scan_wanted=None,
    aged_catalog=False,
    faults=(),
    degraded="",
    floor_lost=False,
    lacks=(),
    agent_version="1.4.0",
    oldest_agent="",
    restart_pending=False,
)
AILING: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "waits": ({"state": "waiting"}, ("standing",), ""),
    "is expected": ({"state": "expected"}, ("standing",), ""),
    "is retired": ({"state": "decommissioned"}, ("standing",), ""),
    "never came": ({"heard_at": None}, ("check-in",), FULL_REPORT),
    "is silent": ({"heard_at": NOON - 3 * HOUR}, ("check-in",), ""),
    "takes no settings": ({"policy_at": None}, ("policy",), ""),
    "took them last long ago": ({"policy_at": NOON - 4 * HOUR}, ("policy",), ""),
    "its clock is off": ({"faults": ("clock",)}, ("clock",), ""),
    "a newer agent finds more": ({"faults": ("paper",)}, ("paper",), ""),
    "another updater is at work": ({"faults": ("dnf-automatic",)}, ("updaters",), ""),
    "lost its floors": ({"floor_lost": True}, ("trust",), ""),
    "never reported": (
        {"reported_at": None, "doubt": Doubt.NEVER_REPORTED}, ("report",), FULL_REPORT,
    ),
    "reported too long ago": ({"doubt": Doubt.STALE}, ("report",), SCAN),
    "could not scan": ({"scan": "failed", "scan_error": "E: no disk"}, ("scan",), SCAN),
    "never scanned": ({"scan": "none", "scanned_at": None}, ("scan",), SCAN),
    "was asked to scan": ({"scan_wanted": NOON - HOUR}, ("scan",), ""),
    "is of another catalog": ({"doubt": Doubt.OTHER_CATALOG}, ("catalog",), FULL_REPORT),
    "lacks a list": ({"lacks": ("facts",)}, ("lists",), ""),
    "is too old": ({"oldest_agent": "1.5.0"}, ("agent",), ""),
}  # fmt: skip


def test_a_machine_that_is_well_is_fine_in_every_check() -> None:
    found = list(examined(WELL))

    assert {finding.level for finding in found} == {Level.FINE}
    assert [finding.check for finding in found] == [
        "standing", "check-in", "policy", "report", "scan", "catalog", "lists", "agent", "restart",
    ]  # fmt: skip


@pytest.mark.parametrize(("ails", "checks", "repair"), AILING.values(), ids=AILING)
def test_what_ails_it_is_named_with_what_to_do(
    ails: dict[str, Any], checks: tuple[str, ...], repair: str
) -> None:
    found = [f for f in examined(replace(WELL, **ails)) if f.level is not Level.FINE]

    assert tuple(finding.check for finding in found) == checks
    assert all(finding.cure for finding in found)
    assert {finding.repair for finding in found} == {repair}


@pytest.mark.parametrize("state", ["waiting", "expected", "quarantined", "decommissioned"])
def test_of_who_is_not_let_in_is_said_that_alone(state: str) -> None:
    assert len(list(examined(replace(WELL, state=state)))) == 1


VERSIONS = {
    "older": ("1.4.0", "1.10.0", True),
    "the same": ("1.4.0", "1.4.0", False),
    "not told": ("", "1.4.0", True),
    "no version that can be compared": ("of today", "1.4.0", False),
    "any will do": ("0.0.1", "", False),
}


@pytest.mark.parametrize(("version", "oldest", "expected"), VERSIONS.values(), ids=VERSIONS)
def test_an_agent_is_too_old(version: str, oldest: str, expected: bool) -> None:
    assert is_too_old(version, oldest=oldest) is expected
