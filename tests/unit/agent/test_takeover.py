"""When the agent holds other updaters back, when it lets them go, and what it tells of that."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from patchtide.agent.core import AgentCore
from patchtide.agent.ports.link import Answer, Busy, LinkFailed, News, NoNews
from patchtide.agent.ports.takeover import TakeoverFailed
from patchtide.agent.settings import LocalSettings, MemorySettings, Settings
from patchtide.agent.takeover import followed
from patchtide.domain.sequencer import events as ev
from patchtide.wire.agent_settings import AgentSettingsV1
from patchtide.wire.messages import CheckInAnswerV1, encode
from tests.simulator.machine import SimulatedMachine

APT = "unattended-upgrades"
HOLD, LET_GO = (
    News(CheckInAnswerV1(next_poll_s=900, settings=encode(AgentSettingsV1(takes_over=wanted))))
    for wanted in (True, False)
)
TAKEN, GIVEN = "updaters-taken-over", "updaters-given-back"


@dataclass
class Others:
    """unattended-upgrades, and whether it is held back."""

    is_held: bool = False
    can_be_held: bool = True
    is_full: bool = False

    def at_work(self) -> tuple[str, ...]:
        return () if self.is_held else (APT,)

    def taken(self) -> tuple[str, ...]:
        return (APT,) if self.is_held else ()

    def hold(self, *, wanted: bool) -> None:
        if self.is_full:
            raise TakeoverFailed("no room")
        self.is_held = wanted and self.can_be_held


def with_others(others: Others) -> SimulatedMachine:
    machine = SimulatedMachine()
    ports = replace(machine.ports, takeover=others)
    machine.core = AgentCore(ports, seed=bytes(range(100, 116)))
    return machine


def told(machine: SimulatedMachine, *answers: Answer) -> None:
    """Have it check in so often."""
    machine.next_answers.extend(answers)
    machine.seconds = machine.core.start()
    for _ in answers:
        machine.seconds = machine.core.step(ev.Woken())


CASES: dict[str, tuple[list[Answer], bool, list[str]]] = {
    "nobody wants it": ([NoNews(900)], False, []),
    "the site wants it": ([HOLD], True, [TAKEN]),
    "and goes on wanting it": ([HOLD, NoNews(900), NoNews(900)], True, [TAKEN]),
    "and does not any more": ([HOLD, LET_GO], False, [TAKEN, GIVEN]),
    "it does not know the machine any more": (
        [HOLD, LinkFailed("not-recognised")], False, [TAKEN, GIVEN],
    ),
    "it is away": ([HOLD, LinkFailed("unreachable")], True, [TAKEN]),
    "it is busy": ([HOLD, Busy(60)], True, [TAKEN]),
    "somebody between says no": ([HOLD, LinkFailed("untrusted")], True, [TAKEN]),
}  # fmt: skip


@pytest.mark.parametrize(("answers", "is_held", "codes"), CASES.values(), ids=CASES)
def test_others_are_held_for_as_long_as_the_site_wants_it(
    answers: list[Answer], is_held: bool, codes: list[str]
) -> None:
    others = Others()
    machine = with_others(others)
    told(machine, *answers)

    assert others.is_held is is_held
    noted = [*machine.codes(), *(event.code for _, event in machine.ports.journal.events(9))]
    assert [code for code in noted if code in (TAKEN, GIVEN)] == codes


def test_the_next_check_in_says_who_is_held() -> None:
    machine = with_others(Others())
    told(machine, HOLD, NoNews(900))

    assert [said.health.taken_over for said in machine.check_ins] == [(), (APT,)]


def test_what_cannot_be_held_is_told_of_once_and_again_after_it_could() -> None:
    others = Others(can_be_held=False)
    machine = with_others(others)
    told(machine, HOLD, NoNews(900), LinkFailed("unreachable"), NoNews(900))

    assert machine.codes().count("updaters-not-taken-over") == 1


def test_a_full_disk_is_why_it_is_not_done() -> None:
    settings = Settings(MemorySettings(), LocalSettings(take_over_updaters=True))
    notes, why_not = followed(Others(is_full=True), NoNews(900), settings)

    assert (notes, why_not) == ([], "no room")


@pytest.mark.parametrize("own", [True, False, None])
def test_what_was_written_on_the_machine_wins(own: bool | None) -> None:
    for wanted in (True, False):
        settings = Settings(MemorySettings(), LocalSettings(take_over_updaters=own))
        settings.take(encode(AgentSettingsV1(takes_over=wanted)))

        assert settings.takes_over() is (wanted if own is None else own)


NO_ANSWERS = (LinkFailed("unreachable"), LinkFailed("not-admitted"), Busy(60))


@pytest.mark.parametrize("answer", NO_ANSWERS, ids=str)
def test_what_was_written_on_the_machine_holds_without_the_site(answer: Answer) -> None:
    for own in (True, False):
        others = Others(is_held=not own)
        settings = Settings(MemorySettings(), LocalSettings(take_over_updaters=own))
        notes, _ = followed(others, answer, settings)

        assert others.is_held is own
        assert [note.code for note in notes] == [TAKEN if own else GIVEN]
