"""What a look at the agent and its machine makes of what it saw."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from patchtide.agent import checkup
from patchtide.agent.checkup import Talk
from patchtide.domain.findings import Finding, Level

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
AT = NOW.timestamp()
DAY = 86_400.0
GOOD = Talk(
    heard_at=AT - 60,
    reported_at=AT - 60,
    scanned_at=AT - 60,
    poll_s=3600,
    scan_every_s=7 * 86_400,
    failures=0,
    last_event="",
    report_waits=False,
)
FINE, NOTE, WRONG = Level.FINE, Level.NOTE, Level.WRONG


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (checkup.on_modes("/s", []), FINE, "/s"),
        (checkup.on_modes("/s", ["/s/key"]), WRONG, "/s/key"),
        (checkup.on_modes("/s", [f"/s/{n}" for n in range(9)]), WRONG, "and 4 more"),
        (checkup.on_enrolment(None, of_this_machine=False), WRONG, "no identity"),
        (checkup.on_enrolment("main", of_this_machine=False), WRONG, "another machine's"),
        (checkup.on_enrolment("main", of_this_machine=True), FINE, "main"),
        (checkup.on_running(running=False), WRONG, "no agent"),
        (checkup.on_running(running=True), FINE, "one agent"),
        (checkup.on_service(enabled=True, masked=False), FINE, "started with"),
        (checkup.on_service(enabled=False, masked=False), WRONG, "disabled"),
        (checkup.on_service(enabled=False, masked=True), WRONG, "masked"),
        (checkup.on_clock(None), NOTE, "not compared"),
        (checkup.on_clock(299.0), FINE, "near enough"),
        (checkup.on_clock(300.0), WRONG, "300 s behind the server's"),
        (checkup.on_clock(-4000.0), WRONG, "4000 s ahead of the server's"),
        (checkup.on_certificate(AT + 15 * DAY, AT), FINE, "15 days"),
        (checkup.on_certificate(AT + 13 * DAY, AT), NOTE, "13 days"),
        (checkup.on_trust({}, AT), WRONG, "no signed metadata"),
        (checkup.on_trust({"root": NOW}, AT), WRONG, "root has expired"),
        (checkup.on_trust({"root": NOW + timedelta(days=9)}, AT), FINE, "2026-11-29"),
        (checkup.on_packages(["toy"], interrupted=False), WRONG, "toy"),
        (checkup.on_packages([], interrupted=True), WRONG, "while it worked"),
        (checkup.on_packages([], interrupted=False), FINE, "whole"),
        (checkup.on_rpm(["toy"], holder=""), WRONG, "toy"),
        (checkup.on_rpm(["toy"], holder="dnf (process 7)"), NOTE, "dnf (process 7)"),
        (checkup.on_rpm([], holder=""), FINE, "once"),
        (checkup.on_rpm_unread("command-failed: rpm: error"), WRONG, "rpm: error"),
        (checkup.on_lists(None, AT), NOTE, "never"),
        (checkup.on_lists(AT - 8 * DAY, AT), NOTE, "8 days ago"),
        (checkup.on_lists(AT - 3 * 3600, AT), FINE, "3 hours ago"),
        (checkup.on_lists(AT + DAY, AT), FINE, "in the future"),
        (checkup.on_space("/s", 31 << 20), WRONG, "31 MB"),
        (checkup.on_space("/s", 32 << 20), NOTE, "32 MB"),
        (checkup.on_space("/s", 256 << 20), FINE, "256 MB"),
        (checkup.on_restart(pending=True), NOTE, "replaced"),
        (checkup.on_restart(pending=False), FINE, "none"),
    ],
)
def test_a_look_is_judged(found: Finding, level: Level, words: str) -> None:
    assert found.level is level
    assert words in found.said


@pytest.mark.parametrize(
    ("talk", "level", "words"),
    [
        (GOOD, FINE, "60 seconds ago"),
        (replace(GOOD, heard_at=AT - 3 * 3600 - 1), WRONG, "3 hours ago"),
        (replace(GOOD, heard_at=0.0), WRONG, "never"),
        (replace(GOOD, failures=2, last_event="not-admitted"), WRONG, "not-admitted"),
    ],
)
def test_silence_and_failures_are_wrong(talk: Talk, level: Level, words: str) -> None:
    found = checkup.on_check_ins(talk, AT)

    assert found.level is level
    assert words in found.said


@pytest.mark.parametrize(
    ("talk", "level", "words"),
    [
        (GOOD, FINE, "has the last one"),
        (replace(GOOD, report_waits=True), WRONG, "waits"),
        (replace(GOOD, reported_at=0.0), WRONG, "has none"),
        (replace(GOOD, scanned_at=AT - 15 * DAY), WRONG, "15 days ago"),
    ],
)
def test_a_report_that_the_server_lacks_is_wrong(talk: Talk, level: Level, words: str) -> None:
    found = checkup.on_reports(talk, AT)

    assert found.level is level
    assert words in found.said


def test_whatever_is_not_fine_says_what_to_do() -> None:
    troubled = replace(GOOD, heard_at=0.0, reported_at=0.0)

    found = [
        checkup.on_check_ins(troubled, AT),
        checkup.on_reports(troubled, AT),
        checkup.on_running(running=False),
        checkup.on_lists(None, AT),
        checkup.on_trust({}, AT),
    ]

    assert all(finding.cure for finding in found)
