"""The agent as a whole over fakes: what it sends, what it changes, what it refuses."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from patchtide.adapters.platforms.simulated import SimulatedPlatform
from patchtide.agent.core import AgentCore
from patchtide.agent.ports.journal import ShardChange
from patchtide.agent.ports.link import Busy, JumpTo, LinkFailed, NeedFull, News, SendAgain
from patchtide.agent.ports.trust import MetadataExpired, TrustEvent
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer.states import Installing, newborn
from patchtide.wire.inventory import facts_list
from patchtide.wire.messages import INVENTORY_LIMITS, CheckInAnswerV1
from patchtide.wire.sets import decode_set, unpack
from tests.simulator.machine import NOON, SimulatedMachine, a_leaf

FIX = a_leaf(1, "openssl", "3.0.2")


def a_machine_that_reported(*leaves: Leaf, **changes: object) -> SimulatedMachine:
    machine = SimulatedMachine(**changes)  # type: ignore[arg-type]
    machine.publish("custom", *(leaves or (FIX,)))
    machine.core.start()
    machine.core.step(ev.Woken())
    assert machine.reports[0].full is not None
    return machine


def version(machine: SimulatedMachine, package: str) -> str:
    return machine.platform.description().packages[package]


def numbers(packed: bytes) -> list[int]:
    return decode_set(unpack(packed)) if packed else []


def test_an_assigned_update_is_installed_and_told() -> None:
    machine = a_machine_that_reported()
    machine.assign(FIX)

    machine.core.step(ev.Rung())

    assert version(machine, "openssl") == "3.0.2"
    assert machine.codes() == ["installed", "order-done"]
    changes = machine.reports[-1].changes or machine.reports[-1].full
    assert changes is not None and numbers(changes.installed) == [1]


DENIED = {
    "another digest than the catalog's": replace(FIX.files[0], sha256=bytes(32)),
    "another length than the catalog's": replace(FIX.files[0], size_bytes=1),
}


@pytest.mark.parametrize("file", DENIED.values(), ids=DENIED)
def test_what_only_one_of_the_two_names_is_not_installed(file: object) -> None:
    machine = a_machine_that_reported()
    machine.assign(replace(FIX, files=(file,)))  # type: ignore[arg-type]

    machine.core.step(ev.Rung())

    assert version(machine, "openssl") == "3.0.1"
    assert "consent-denied" in machine.codes() + list(machine.untold())


def test_a_feeds_update_needs_the_vendors_signature() -> None:
    from_feed = a_leaf(5, "openssl", "3.0.2", origin="feed:debian")
    machine = SimulatedMachine(unsigned=frozenset({"openssl"}))
    machine.publish("debian-12", from_feed)
    machine.core.start()
    machine.core.step(ev.Woken())
    machine.assign(from_feed)

    machine.core.step(ev.Rung())

    assert version(machine, "openssl") == "3.0.1"


def test_a_publishers_update_in_a_feeds_shard_is_not_installed() -> None:
    machine = SimulatedMachine()
    machine.publish("debian-12", FIX)
    machine.core.start()
    machine.core.step(ev.Woken())
    machine.assign(FIX)

    machine.core.step(ev.Rung())

    assert version(machine, "openssl") == "3.0.1"


def test_a_stopped_fragment_orders_nothing() -> None:
    machine = a_machine_that_reported()
    machine.assign(FIX, stopped=True)

    machine.core.step(ev.Rung())

    assert version(machine, "openssl") == "3.0.1"


def test_a_package_below_its_floor_is_not_installed() -> None:
    machine = a_machine_that_reported()
    machine.trust.floors["openssl"] = "3.0.3"
    machine.assign(FIX)

    machine.core.step(ev.Rung())

    assert version(machine, "openssl") == "3.0.1"
    assert "package-rollback-refused" in machine.codes() + list(machine.untold())


def test_a_forged_envelope_changes_nothing() -> None:
    machine = a_machine_that_reported()
    machine.assign(FIX)
    machine.envelope = machine.envelope[:-1] + bytes([machine.envelope[-1] ^ 1])

    machine.core.step(ev.Rung())

    assert version(machine, "openssl") == "3.0.1"
    assert machine.journal.policy() == (b"", {})


def test_the_intent_is_stored_before_the_machine_is_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = a_machine_that_reported()
    machine.assign(FIX)
    stored = []

    class PowerCut(BaseException):
        pass

    def install(leaves: object) -> None:
        machine.restarted_process()
        stored.append(machine.core.state.phase)
        raise PowerCut

    monkeypatch.setattr(type(machine.platform), "install", lambda self, leaves: install(leaves))
    with pytest.raises(PowerCut):
        machine.core.step(ev.Rung())

    [phase] = stored
    assert isinstance(phase, Installing) and phase.attempt == 1


def test_a_simulated_restart_is_lived_through() -> None:
    kernel = a_leaf(9, "curl", "9.0", restart="always")
    machine = a_machine_that_reported(kernel)
    before = machine.platform.uptime().boot_id
    machine.assign(kernel)

    wake_up = machine.core.step(ev.Rung())
    machine.seconds = max(NOON, wake_up)
    machine.core.step(ev.Woken())

    assert machine.platform.uptime().boot_id != before
    assert not machine.platform.uptime().restart_pending
    assert machine.codes().count("restarted") == 1


def test_a_difference_that_does_not_fit_is_followed_by_everything_at_once() -> None:
    many = [a_leaf(n, "curl", "9.0") for n in range(10, 600, 3)]
    machine = a_machine_that_reported(FIX, *many)
    machine.publish("custom", FIX, a_leaf(2, "curl", "7.0"), *many)
    machine.report_answers.append(NeedFull())

    machine.core.step(ev.Rung())

    _, difference, whole = machine.reports
    assert difference.changes is not None and whole.full is not None


def test_a_clock_that_is_off_dates_requests_by_the_servers() -> None:
    machine = a_machine_that_reported()
    machine.next_answers.append(SendAgain(NOON + 86_400))

    machine.core.step(ev.Rung())

    assert machine.core.state.memory.clock_offset_s == 86_400
    assert len(machine.check_ins) == 3


def test_a_jump_goes_on_above_what_was_asked() -> None:
    machine = a_machine_that_reported()
    machine.next_answers.append(JumpTo(70_000))

    machine.core.step(ev.Rung())

    assert machine.check_ins[-1].counter == 70_000
    assert machine.reports[-1].restored and machine.reports[-1].full is not None


def test_no_answer_can_use_the_counter_up() -> None:
    machine = a_machine_that_reported()
    machine.next_answers.append(JumpTo(2**53 - 1))

    machine.core.step(ev.Rung())

    assert machine.journal.take_counter() < 1000


@pytest.mark.parametrize("answer", [Busy(60), LinkFailed("unreachable")], ids=["busy", "cut"])
def test_a_report_that_was_not_taken_is_sent_again_unchanged(answer: Busy | LinkFailed) -> None:
    machine = SimulatedMachine()
    machine.publish("custom", FIX)
    machine.report_answers.append(answer)
    machine.core.start()
    machine.core.step(ev.Rung())
    machine.restarted_process()
    machine.core.start()

    machine.core.step(ev.Rung())

    first, second = machine.reports
    assert first == second


def test_an_expired_catalog_is_reported_as_aged() -> None:
    machine = a_machine_that_reported()
    machine.publish("custom", FIX, a_leaf(2, "curl", "9.0"))
    machine.trust.refusal = MetadataExpired()
    machine.trust.events.append(TrustEvent("metadata-cache-lost", "timestamp"))

    machine.core.step(ev.Rung())

    assert machine.reports[-1].aged_catalog
    assert set(machine.codes()) >= {"metadata-expired", "metadata-cache-lost"}


def test_a_shard_damaged_on_the_machine_is_fetched_whole_again() -> None:
    many = [a_leaf(n, "curl", "9.0") for n in range(10, 600, 3)]
    machine = a_machine_that_reported(FIX, *many)
    head = machine.journal.shards()["custom"]
    machine.journal.change_shard("custom", ShardChange(head=head, upserts=(), drops=(10,)))
    machine.publish("custom", FIX, a_leaf(2, "curl", "7.0"), *many)

    machine.core.step(ev.Rung())

    assert "shard-damaged" in machine.codes()
    assert len(list(machine.journal.leaves("custom"))) == len(many) + 2


def test_another_clients_memory_is_not_taken_over() -> None:
    machine = a_machine_that_reported()
    other = bytes(16)

    core = AgentCore(machine.ports, seed=other)

    assert core.state == newborn(other)


def test_a_feed_cannot_stand_in_for_what_a_publisher_signed() -> None:
    machine = SimulatedMachine(shards=("custom", "debian-12"))
    machine.publish("custom", FIX)
    machine.publish("debian-12", a_leaf(1, "openssl", "0.1"))
    machine.core.start()
    machine.core.step(ev.Woken())

    assert machine.reports[0].full is not None
    assert numbers(machine.reports[0].full.required) == [1]


def the_server_says(**news: object) -> News:
    return News(CheckInAnswerV1(next_poll_s=3600, **news))  # type: ignore[arg-type]


def named(machine: SimulatedMachine) -> dict[str, bytes]:
    packages = machine.platform.inventory("packages")
    assert packages is not None
    return {"packages": sha256(packages).digest()}


def facts_named(machine: SimulatedMachine) -> dict[str, bytes]:
    return {"facts": sha256(facts_list(machine.platform.facts())).digest()}


def test_a_list_is_named_once_after_it_changed() -> None:
    machine = a_machine_that_reported()
    first = named(machine)
    machine.core.step(ev.Rung())
    machine.assign(FIX)

    for _ in range(3):
        machine.core.step(ev.Rung())

    said = [check_in.inventory for check_in in machine.check_ins]
    assert said == [{}, first | facts_named(machine), {}, named(machine), {}]
    assert named(machine) != first


def test_a_list_is_sent_when_it_is_asked_for_and_named_until_the_server_has_it() -> None:
    machine = a_machine_that_reported()
    wanted = the_server_says(inventory=("packages", "firmware", "hardware"))
    machine.next_answers.extend([wanted, wanted])
    machine.inventory_answers.append(Busy(1))

    for _ in range(4):
        machine.core.step(ev.Rung())

    refused, sent = machine.inventories
    assert refused == sent
    assert (sent.kind, unpack(sent.body)) == ("packages", machine.platform.inventory("packages"))
    assert sent.digest == named(machine)["packages"]
    said = [check_in.inventory for check_in in machine.check_ins[1:]]
    assert said == [named(machine) | facts_named(machine), named(machine), {}, {}]


def test_a_server_that_has_lost_track_is_told_of_every_list_again() -> None:
    machine = a_machine_that_reported()
    machine.next_answers.extend([the_server_says(), the_server_says(full_report=True)])

    for _ in range(4):
        machine.core.step(ev.Rung())

    said = [check_in.inventory for check_in in machine.check_ins[1:]]
    everything = named(machine) | facts_named(machine)
    assert said == [everything, {}, everything, {}]


def test_what_the_server_gets_are_the_facts_that_the_scan_went_by() -> None:
    machine = a_machine_that_reported()
    told = facts_list(machine.platform.facts())
    machine.next_answers.append(the_server_says(inventory=("facts",)))

    machine.core.step(ev.Rung())

    [sent] = machine.inventories
    assert (sent.kind, unpack(sent.body)) == ("facts", told)


def test_a_list_that_the_server_would_refuse_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    too_long = bytes(INVENTORY_LIMITS["packages"] + 1)
    monkeypatch.setattr(SimulatedPlatform, "inventory", lambda self, kind: too_long)
    machine = a_machine_that_reported()
    machine.next_answers.append(the_server_says(inventory=("packages",)))

    machine.core.step(ev.Rung())

    assert machine.check_ins[-1].inventory == facts_named(machine)
    assert machine.inventories == []
