"""How old a report may be, by how often machines scan; and while that becomes another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from patchtide.domain.errors import InvalidDocument
from patchtide.domain.schedules.scanning import ScanRule, stale_after
from patchtide.domain.sequencer.agent_settings import AgentSettings
from patchtide.server.kept_agent_settings import KeptAgents, scan_rule_of
from patchtide.server.site_agents import _since

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR_S, DAY = 3600, timedelta(days=1)
OFTENER = ScanRule(every_s=4 * HOUR_S, before_s=168 * HOUR_S, since=NOON)
RARER = ScanRule(every_s=672 * HOUR_S, before_s=168 * HOUR_S, since=NOON)
AGES = {
    "as sites begin": (ScanRule(), NOON, 14 * DAY),
    "every four hours, a weekend is no doubt": (ScanRule(every_s=4 * HOUR_S), NOON, 3 * DAY),
    "every four weeks": (ScanRule(every_s=672 * HOUR_S), NOON, 56 * DAY),
    "oftener since today, so nobody has yet": (OFTENER, NOON + DAY, 14 * DAY),
    "oftener for long": (OFTENER, NOON + 3 * DAY, 3 * DAY),
    "oftener, and the clock was put back": (OFTENER, NOON - DAY, 3 * DAY),
    "rarer, at once": (RARER, NOON, 56 * DAY),
}


@pytest.mark.parametrize(("rule", "now", "age"), AGES.values(), ids=AGES)
def test_a_report_is_too_old(rule: ScanRule, now: datetime, age: timedelta) -> None:
    assert rule.stale_after(now) == age


def test_an_interval_that_some_may_still_keep_to_is_known_until_all_had_their_time() -> None:
    assert (OFTENER.before(NOON + DAY), OFTENER.before(NOON + 3 * DAY)) == (604_800, 14_400)
    assert (ScanRule().before(NOON), RARER.before(NOON)) == (604_800, 672 * HOUR_S)


def test_a_second_change_soon_after_does_not_forget_what_machines_were_told_first() -> None:
    first = KeptAgents(scan_every_s=28 * 86_400)
    second = _since(first, KeptAgents(scan_every_s=14 * 86_400), now=NOON.timestamp())
    day_after = NOON + DAY
    third = _since(second, KeptAgents(scan_every_s=7 * 86_400), now=day_after.timestamp())

    assert scan_rule_of(third).stale_after(day_after) == 56 * DAY


def test_at_least_two_scans_are_missing_by_then() -> None:
    assert all(stale_after(h * HOUR_S) >= timedelta(hours=2 * h) for h in range(1, 673))


REFUSED = {
    "a check-in every second": {"poll_s": 1},
    "silent for two days": {"poll_s": 172_800},
    "a scan a minute": {"scan_every_s": 60},
    "a scan a quarter": {"scan_every_s": 90 * 86_400},
    "rarer check-ins than scans": {"poll_s": 7200, "scan_every_s": 3600},
}


@pytest.mark.parametrize("said", REFUSED.values(), ids=REFUSED)
def test_no_site_may_set(said: dict[str, int]) -> None:
    with pytest.raises(InvalidDocument):
        AgentSettings(**said)
