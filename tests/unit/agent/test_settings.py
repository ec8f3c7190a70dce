"""What an agent goes by: what its site told, bounded, and what was written on the machine."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchtide.agent.ports.link import News
from patchtide.agent.settings import LocalSettings, MemorySettings, Settings
from patchtide.domain.errors import InvalidDocument
from patchtide.domain.schedules.scanning import LONGEST_SCAN_S, SCAN_EVERY_S, SHORTEST_SCAN_S
from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer.pacing import SCAN_SPREAD_S
from patchtide.wire.agent_settings import (
    NOTHING_SAID,
    AgentSettingsV1,
    AnchorV1,
    FreezeV1,
    ProxyV1,
    mark_of,
    sealed,
)
from patchtide.wire.messages import CheckInAnswerV1, encode
from tests.simulator.machine import SimulatedMachine

SEED = bytes(range(16))
SECOND_TUESDAY = datetime(2026, 12, 8, tzinfo=ZoneInfo("Europe/Berlin"))
PATCH_WEEK = AnchorV1(cycle="patch-tuesday", for_days=5, at="06:00", zone="Europe/Berlin")


def told(settings: AgentSettingsV1, local: LocalSettings | None = None) -> Settings:
    made = Settings(MemorySettings(), local or LocalSettings())
    made.take(encode(settings))
    return made


@given(st.integers(0, 2**32 - 1), st.binary(min_size=16, max_size=16))
def test_no_server_can_have_a_machine_scan_without_end_or_hardly_ever(
    every_s: int, seed: bytes
) -> None:
    pace = told(AgentSettingsV1(scan_every_s=every_s)).pace(seed=seed, now=1.8e9)

    assert SHORTEST_SCAN_S <= pace.scan_every_s <= LONGEST_SCAN_S
    assert every_s or pace.scan_every_s == SCAN_EVERY_S


def test_what_was_written_on_the_machine_wins() -> None:
    settings = told(
        AgentSettingsV1(scan_every_s=14_400), LocalSettings(scan_every_s=86_400, poll_s=600)
    )

    pace = settings.pace(seed=SEED, now=1.8e9)

    assert (pace.scan_every_s, pace.poll_s) == (86_400, 600)


def test_scans_by_the_calendar_fall_on_its_days_each_machine_at_its_own_place() -> None:
    settings = told(AgentSettingsV1(anchor=PATCH_WEEK))
    now, found = SECOND_TUESDAY.timestamp(), list[datetime]()
    for _ in range(6):
        now = settings.pace(seed=SEED, now=now).anchor_at
        found.append(datetime.fromtimestamp(now, SECOND_TUESDAY.tzinfo))

    assert [f"{at:%m-%d}" for at in found] == ["12-08", "12-09", "12-10", "12-11", "12-12", "01-12"]
    assert len({at.time() for at in found}) == 1
    assert 6 <= found[0].hour < 8
    others = {settings.pace(seed=bytes([n] * 16), now=now).anchor_at for n in range(20)}
    assert len(others) == 20


REFUSED = {
    "not this document": encode(CheckInAnswerV1(next_poll_s=1)),
    "an unknown calendar": encode(AgentSettingsV1(anchor=AnchorV1(cycle="full-moon"))),
    "an unknown zone": encode(
        AgentSettingsV1(anchor=AnchorV1(cycle="patch-tuesday", zone="../../etc/passwd"))
    ),
    "no time of day": encode(AgentSettingsV1(anchor=AnchorV1(cycle="patch-tuesday", at="25:99"))),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_counts_as_nothing_said_and_is_sent_no_second_time(
    data: bytes,
) -> None:
    store = MemorySettings()
    settings = Settings(store)
    with pytest.raises(InvalidDocument):
        settings.take(data)

    later = Settings(store)

    assert later.pace(seed=SEED, now=1.8e9) == Settings(MemorySettings()).pace(seed=SEED, now=1.8e9)
    assert later.mark() == mark_of(data)


def test_a_machine_that_was_told_nothing_need_not_be_sent_nothing() -> None:
    _, of_nothing = sealed(NOTHING_SAID)
    data, of_something = sealed(AgentSettingsV1(scan_every_s=14_400))

    assert b"" in of_nothing
    assert of_something == {mark_of(data)}


def test_settings_come_with_an_answer_hold_at_once_and_are_named_from_then_on() -> None:
    machine = SimulatedMachine()
    data = encode(AgentSettingsV1(scan_every_s=14_400))
    machine.next_answers.append(News(CheckInAnswerV1(next_poll_s=900, settings=data)))

    machine.seconds = machine.core.start()
    machine.seconds = machine.core.step(ev.Woken())
    machine.core.step(ev.Woken())

    memory = machine.core.state.memory
    assert 14_400 <= memory.scan_at - memory.scanned_at <= 14_400 + SCAN_SPREAD_S
    assert [said.settings for said in machine.check_ins] == [b"", mark_of(data)]


def test_settings_that_cannot_be_read_are_told_of_once() -> None:
    machine = SimulatedMachine()
    answer = News(CheckInAnswerV1(next_poll_s=900, settings=b"nonsense"))
    machine.next_answers.append(answer)

    machine.seconds = machine.core.start()
    machine.seconds = machine.core.step(ev.Woken())
    machine.core.step(ev.Woken())

    assert machine.codes() == ["settings-refused"]


def test_settings_that_cannot_be_read_lift_no_freeze() -> None:
    machine = SimulatedMachine()
    freeze = FreezeV1(begins="2026-03-01 00:00", ends="2026-12-24 00:00", is_utc=True)
    told = encode(AgentSettingsV1(freezes=(freeze,)))
    for data in (told, b"nonsense", encode(AgentSettingsV1(scan_every_s=14_400))):
        machine.next_answers.append(News(CheckInAnswerV1(next_poll_s=900, settings=data)))

    machine.core.start()
    frozen = []
    for _ in range(3):
        machine.core.step(ev.Rung())
        frozen.append(machine.core.state.memory.pace.frozen)

    assert frozen[0] and frozen == [frozen[0], frozen[0], ()]


def test_freezes_hold_by_the_machines_own_clock_or_by_utc_and_are_one_where_they_meet() -> None:
    settings = Settings(MemorySettings(), zone=lambda: "Europe/Berlin")
    freezes = (
        FreezeV1(begins="2026-12-24 12:00", ends="2026-12-27 00:00"),
        FreezeV1(begins="2026-12-18 18:00", ends="2026-12-24 11:00", is_utc=True),
        FreezeV1(begins="2027-07-01 00:00", ends="2027-07-02 00:00"),
    )
    settings.take(encode(AgentSettingsV1(freezes=freezes)))

    berlin = ZoneInfo("Europe/Berlin")
    assert settings.pace(seed=SEED, now=1.8e9).frozen == (
        (
            datetime(2026, 12, 18, 19, tzinfo=berlin).timestamp(),
            datetime(2026, 12, 27, tzinfo=berlin).timestamp(),
        ),
        (
            datetime(2027, 7, 1, tzinfo=berlin).timestamp(),
            datetime(2027, 7, 2, tzinfo=berlin).timestamp(),
        ),
    )


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        ("2026-12-24", "x"),
        ("2026-12-24 12:00", "2026-12-24 12:00"),
        ("2026-01-01 00:00", "2036-01-01 00:00"),
        ("0001-01-01 00:00", "0001-06-01 00:00"),
        ("9999-12-31 00:00", "9999-12-31 23:00"),
    ],
)
def test_a_freeze_that_is_none_is_told_of_and_lifts_nothing_else(begins: str, ends: str) -> None:
    settings, good = Settings(MemorySettings()), "2026-12-24T12:00"
    freezes = (FreezeV1(begins=begins, ends=ends), FreezeV1(begins=good, ends="2026-12-27 0:00"))
    proxy = ProxyV1(address="http://proxy:3128")

    with pytest.raises(InvalidDocument, match="freezes"):
        settings.take(encode(AgentSettingsV1(freezes=freezes, scan_every_s=14_400, proxy=proxy)))

    pace = settings.pace(seed=SEED, now=1.8e9)
    assert (len(pace.frozen), pace.scan_every_s) == (1, 14_400)
