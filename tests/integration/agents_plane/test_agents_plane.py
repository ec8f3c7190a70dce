"""The agents' plane over a real database: enrolment, counters, reports, clones (S09, S10)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from patchtide.adapters.http import agents_plane
from patchtide.adapters.sodium.verifier import verify
from patchtide.domain.compliance.described import UNDESCRIBED, Described
from patchtide.domain.errors import Unavailable
from patchtide.entry.server.background import DECISIONS_S
from patchtide.server.decision_watch import DecisionWatch
from patchtide.server.kept_agent_settings import KeptAgents
from patchtide.server.ports.clients import ClientState, ExpectedClient
from patchtide.wire.agent_settings import NOTHING_SAID, AgentSettingsV1, mark_of
from patchtide.wire.inventory import HardwareV1, package_list
from patchtide.wire.messages import (
    INVENTORY_LIMITS,
    CheckInAnswerV1,
    EnrolledV1,
    HealthV1,
    InventoryV1,
    JumpV1,
    decode,
    encode,
)
from patchtide.wire.sets import encode_set, pack
from tests.simulator.agents_plane import (
    FakeSite,
    MachineUnderTest,
    PlaneUnderTest,
    at_once,
    digest_of,
    enrolled,
)

pytestmark = pytest.mark.anyio

BODY = package_list([("curl", "8.0", "amd64")])


@pytest.fixture
def plane(storage: Any) -> PlaneUnderTest:
    return PlaneUnderTest(storage)


def states_of(plane: PlaneUnderTest) -> dict[str, str]:
    return {client.name: client.state.value for client in plane.storage.clients(limit=100)}


OWNED = Described(owner="web team")


def described(machine: MachineUnderTest) -> Any:
    def work(tx: Any) -> None:
        tx.describe_clients({tx.client(machine.client).number: OWNED})
        tx.note(machine.client.hex())

    return work


class TestEnrolment:
    async def test_a_token_admits_once(self, plane: PlaneUnderTest) -> None:
        token = await plane.token()
        said = [await MachineUnderTest(plane).enrol(token) for _ in range(2)]

        assert [s.status for s in said] == [200, 403]
        assert all(s.is_signed for s in said)

    async def test_of_fifty_at_once_one_gets_in(self, plane: PlaneUnderTest) -> None:
        token = await plane.token()
        plane_limit = [MachineUnderTest(plane) for _ in range(50)]

        said = await at_once(*(machine.enrol(token) for machine in plane_limit))

        assert sum(s.status == 200 for s in said) == 1
        assert len(states_of(plane)) == 1

    async def test_an_expired_token_is_refused(self, plane: PlaneUnderTest) -> None:
        token = await plane.token()
        plane.clock.advance(hours=24, seconds=1)

        assert (await MachineUnderTest(plane).enrol(token)).status == 403

    async def test_a_token_of_another_site_is_refused_and_not_used_up(
        self, plane: PlaneUnderTest
    ) -> None:
        token = await plane.token(site="elsewhere")

        assert (await MachineUnderTest(plane).enrol(token)).status == 403
        assert [t.uses_left for t in plane.storage.enrolment_tokens()] == [1]

    async def test_a_lost_answer_is_given_again(self, plane: PlaneUnderTest) -> None:
        machine = MachineUnderTest(plane)
        token = await plane.token()
        first, second = await machine.enrol(token), await machine.enrol(token)

        assert first.body == second.body

    async def test_a_key_that_nobody_holds_cannot_enrol(self, plane: PlaneUnderTest) -> None:
        machine, thief = MachineUnderTest(plane), MachineUnderTest(plane)
        machine.key, stolen = thief.key, machine.key
        thief.key = _HalfKey(stolen, thief.key)  # type: ignore[assignment]

        assert (await thief.enrol(await plane.token())).status == 401

    async def test_a_machine_waits_for_approval_where_the_token_says_so(
        self, plane: PlaneUnderTest
    ) -> None:
        machine = MachineUnderTest(plane)
        await machine.enrol(await plane.token(approve=True))

        assert states_of(plane) == {"m": "waiting"}
        assert (await machine.check_in()).status == 403

    async def test_the_same_key_on_two_machines_quarantines_both(
        self, plane: PlaneUnderTest
    ) -> None:
        machine = await enrolled(plane)
        twin = machine.copy()
        twin.machine = b"t" * 32

        said = await twin.enrol(await plane.token())

        assert said.status == 403
        assert (await machine.check_in()).status == 403
        assert states_of(plane) == {"m": "quarantined"}

    async def test_a_known_machine_with_a_new_key_waits(self, plane: PlaneUnderTest) -> None:
        machine = await enrolled(plane)
        again = MachineUnderTest(plane, name="again")
        again.machine = machine.machine

        assert (await again.enrol(await plane.token())).status == 200
        assert states_of(plane) == {"m": "active", "again": "waiting"}

    async def test_guesses_never_reach_the_writer_and_share_their_question(
        self, plane: PlaneUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = await plane.token()
        _, token_id, secret, ca = token.split(".")
        guesses = [f"pt1.{token_id}.{'0' * 30}{n:02}.{ca}" for n in range(15)]
        guesses += [f"pt1.0000{n:04}.{secret}.{ca}" for n in range(14)]
        asked: list[str] = []
        read, decide = plane.storage.enrolment_tokens, plane.storage.decide
        monkeypatch.setattr(
            plane.storage, "enrolment_tokens", lambda ids: asked.append("tokens") or read(ids)
        )

        async def noted(*arguments: Any, **named: Any) -> Any:
            asked.append("decision")
            return await decide(*arguments, **named)

        monkeypatch.setattr(plane.storage, "decide", noted)
        strangers = [MachineUnderTest(plane) for _ in guesses]
        said = await at_once(*(m.enrol(g) for m, g in zip(strangers, guesses, strict=True)))

        assert {(s.status, s.body) for s in said} == {(403, said[0].body)}
        assert "decision" not in asked and len(asked) <= 3
        assert (await MachineUnderTest(plane).enrol(token)).status == 200

    async def test_who_has_guessed_once_does_not_guess_in_parallel(
        self, plane: PlaneUnderTest
    ) -> None:
        await MachineUnderTest(plane).enrol(f"pt1.0.{'x' * 32}")
        guesses = [MachineUnderTest(plane).enrol(f"pt1.{n}.{'x' * 32}") for n in range(60)]

        said = Counter(s.status for s in await at_once(*guesses))

        assert said == {403: 29, 429: 31}

    async def test_one_address_leaves_room_for_others_who_enrol(
        self, plane: PlaneUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(agents_plane, "ENROLLING_AT_ONCE", 20)
        guesses = [MachineUnderTest(plane).enrol(f"pt1.{n}.{'x' * 32}") for n in range(50)]

        said = Counter(s.status for s in await at_once(*guesses))

        assert said == {403: 20, 503: 30}

    async def test_our_own_trouble_is_not_counted_as_a_guess(
        self, plane: PlaneUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def busy(*arguments: Any, **named: Any) -> Any:
            raise Unavailable

        token = await plane.token()
        with monkeypatch.context() as trouble:
            trouble.setattr(plane.storage, "decide", busy)
            said = await at_once(*(MachineUnderTest(plane).enrol(token) for _ in range(40)))

        assert {s.status for s in said} == {503}
        assert (await MachineUnderTest(plane).enrol(token)).status == 200

    async def test_one_address_cannot_fill_the_memory_for_half_read_bodies(
        self, plane: PlaneUnderTest
    ) -> None:
        answers: list[int] = []
        holding = asyncio.Event()

        async def upload(peer: str) -> None:
            pieces = [bytes(1 << 20)] * 2

            async def receive() -> dict[str, Any]:
                if pieces:
                    return {"type": "http.request", "body": pieces.pop(), "more_body": True}
                await holding.wait()
                return {"type": "http.disconnect"}

            async def send(message: dict[str, Any]) -> None:
                if message["type"] == "http.response.start" and message["status"] == 503:
                    answers.append(1)

            scope = {"type": "http", "client": (peer, 1), "headers": [], "method": "POST"}
            await plane.handlers["agents.report"](scope, receive, send)

        mallory = [asyncio.create_task(upload("192.0.2.1")) for _ in range(10)]
        await asyncio.sleep(0.1)
        refused = len(answers)
        alice = asyncio.create_task(upload("192.0.2.2"))
        await asyncio.sleep(0.1)
        holding.set()
        await asyncio.gather(alice, *mallory)

        assert refused > 0 and len(answers) == refused

    async def test_a_token_made_while_others_guess_is_taken_at_once(
        self, plane: PlaneUnderTest
    ) -> None:
        guesses = [MachineUnderTest(plane).enrol(f"pt1.{n}.{'x' * 32}") for n in range(10)]
        guessing = asyncio.create_task(at_once(*guesses))
        await asyncio.sleep(0)

        assert (await MachineUnderTest(plane).enrol(await plane.token())).status == 200
        assert {s.status for s in await guessing} == {403}

    async def test_the_secret_is_not_in_the_database(self, plane: PlaneUnderTest) -> None:
        token = await plane.token()

        [stored] = plane.storage.enrolment_tokens()

        assert token.split(".")[2].encode() not in repr(stored).encode()


class _HalfKey:
    """Shows one public key and signs with another."""

    def __init__(self, shown: Ed25519PrivateKey, own: Ed25519PrivateKey) -> None:
        self.public_key = shown.public_key
        self.sign = own.sign


class TestCheckIn:
    async def test_nothing_new_is_204_with_the_next_poll(self, plane: PlaneUnderTest) -> None:
        machine = await enrolled(plane)

        said = await machine.check_in(shards={"debian-12": 3})

        assert (said.status, said.is_signed) == (204, True)
        assert said.headers["patchtide-next-poll"] == "3600"

    async def test_a_newer_serial_is_named(self, plane: PlaneUnderTest) -> None:
        machine = await enrolled(plane)

        said = await machine.check_in(shards={"debian-12": 2, "rhel-9": 0})

        assert decode(said.body, CheckInAnswerV1).shards == {"debian-12": 3}

    async def test_a_state_the_server_does_not_have_is_asked_for(
        self, plane: PlaneUnderTest
    ) -> None:
        machine = await enrolled(plane)

        said = await machine.check_in(digest=digest_of({1}))

        assert decode(said.body, CheckInAnswerV1).full_report

    async def test_presence_is_flushed_in_one_batch(self, plane: PlaneUnderTest) -> None:
        machines = [await enrolled(plane, name=f"m{n}") for n in range(3)]
        for machine in machines:
            await machine.check_in()

        batch = plane.standings.unsaved()
        await plane.storage.flush_presence(batch)

        assert len(batch) == 3
        assert {s.counter for s in plane.storage.standings_after(0, limit=10)} == {2}
        assert plane.standings.unsaved() == []

    async def test_metadata_nobody_published_raises_one_alarm_however_many_saw_it(
        self, plane: PlaneUnderTest
    ) -> None:
        first, second = await enrolled(plane, name="first"), await enrolled(plane, name="second")
        plane.site.metadata = {("timestamp", b"p" * 32)}

        for machine in (first, second, first):
            await machine.check_in(health=HealthV1(trust_seen={"timestamp": b"p" * 32}))
            await machine.check_in(health=HealthV1(trust_seen={"timestamp": b"x" * 32}))

        [alarm] = _alarms(plane)
        assert first.client.hex() in str(alarm)

    async def test_a_machine_that_invents_metadata_raises_one_alarm_an_hour(
        self, plane: PlaneUnderTest
    ) -> None:
        machine = await enrolled(plane)

        for number in range(20):
            plane.clock.advance(minutes=6)
            strange = {"snapshot": number.to_bytes(32), "feed": b"f" * 32}
            said = await machine.check_in(health=HealthV1(trust_seen=strange))
            assert said.status == 204

        assert len(_alarms(plane)) == 2

    async def test_inventing_in_parallel_raises_no_more_alarms(
        self, plane: PlaneUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def slowly(role: str, digest: bytes) -> bool:
            await asyncio.sleep(0.05)
            return False

        machine = await enrolled(plane)
        monkeypatch.setattr(plane.site, "knows_metadata", slowly)
        inventions = [{"snapshot": n.to_bytes(32)} for n in range(20)]

        await at_once(*(machine.check_in(health=HealthV1(trust_seen=i)) for i in inventions))

        assert len(_alarms(plane)) == 1


def _alarms(plane: PlaneUnderTest) -> list[Any]:
    return [e for e in plane.storage.audit(limit=100) if e.operation == "trust.divergence"]


class TestInventory:
    DIGEST = sha256(BODY).digest()
    LISTED = InventoryV1(kind="packages", digest=DIGEST, body=pack(BODY))

    async def test_the_first_machine_is_asked_and_its_twin_is_not(
        self, plane: PlaneUnderTest
    ) -> None:
        first, twin = await enrolled(plane, name="first"), await enrolled(plane, name="twin")

        asked = await first.check_in(inventory={"packages": self.DIGEST})
        await first.post("agents.inventory", self.LISTED, first.next_counter())
        after = [await m.check_in(inventory={"packages": self.DIGEST}) for m in (first, twin)]

        assert decode(asked.body, CheckInAnswerV1).inventory == ("packages",)
        assert [said.status for said in after] == [204, 204]
        numbers = [client.number for client in plane.storage.clients()]
        assert [plane.storage.inventory(n, "packages") for n in numbers] == [BODY] * 2

    async def test_what_was_sent_before_a_restart_is_not_asked_for_again(
        self, plane: PlaneUnderTest
    ) -> None:
        machine = await enrolled(plane)
        await machine.post("agents.inventory", self.LISTED, machine.next_counter())
        plane.start_node()

        assert (await machine.check_in(inventory={"packages": self.DIGEST})).status == 204

    async def test_a_check_in_that_names_no_new_list_asks_the_database_nothing(
        self, plane: PlaneUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine = await enrolled(plane)
        await machine.post("agents.inventory", self.LISTED, machine.next_counter())

        def none_may_ask(*_: object, **__: object) -> None:
            raise AssertionError("a check-in asked the database")

        monkeypatch.setattr(plane.storage, "_read", none_may_ask)
        monkeypatch.setattr(plane.storage, "_write", none_may_ask)
        monkeypatch.setattr(plane.storage, "_as_agent", none_may_ask)
        said = [await machine.check_in(inventory=named) for named in ({}, {"packages": bytes(32)})]

        assert [s.status for s in said] == [204, 200]


class TestReports:
    async def test_a_report_is_durable_and_indexed_by_its_change(
        self, plane: PlaneUnderTest
    ) -> None:
        machine = await enrolled(plane)
        before = plane.storage.epoch()

        said = await machine.report(required={5, 9})

        [row] = plane.storage.states()
        assert (said.status, said.is_signed) == (202, True)
        assert row.required == encode_set({5, 9})
        _, [delta] = plane.storage.deltas(before)
        assert delta.change == row.change
        assert delta.required_added == encode_set({5, 9})

    async def test_the_same_report_again_gets_the_same_answer(self, plane: PlaneUnderTest) -> None:
        machine = await enrolled(plane)
        counter = machine.next_counter()
        first = await machine.report(required={5}, counter=counter)
        change = plane.storage.states()[0].change

        second = await machine.report(required={5}, counter=counter)

        assert first.status == second.status == 202
        assert plane.storage.states()[0].change == change

    async def test_a_machine_without_a_catalog_may_say_so_before_it_has_states(
        self, plane: PlaneUnderTest
    ) -> None:
        machine = await enrolled(plane)

        said = [await machine.report_no_catalog() for _ in range(2)]

        assert [s.status for s in said] == [202, 202]
        assert plane.storage.states()[0].scan == "waiting-catalog"
        assert (await machine.report(required={5})).status == 202

    async def test_a_difference_moves_only_what_it_names(self, plane: PlaneUnderTest) -> None:
        machine = await enrolled(plane)
        await machine.report(required={5, 9})

        said = await machine.report_changes(before={5, 9}, added={7}, gone={5})

        assert said.status == 202
        assert plane.storage.states()[0].required == encode_set({7, 9})

    async def test_a_difference_to_another_state_asks_for_everything(
        self, plane: PlaneUnderTest
    ) -> None:
        machine = await enrolled(plane)
        await machine.report(required={5})

        said = await machine.report_changes(before={6}, added={7})

        assert (said.status, said.is_signed) == (422, True)
        assert plane.storage.states()[0].required == encode_set({5})

    async def test_a_counter_from_the_past_is_told_to_jump(self, plane: PlaneUnderTest) -> None:
        machine = await enrolled(plane)
        await machine.report(required={5}, counter=70)

        said = await machine.report(required={6}, counter=60)

        assert (said.status, said.is_signed) == (409, True)
        assert decode(said.body, JumpV1).expected > 70

    async def test_counters_survive_a_restart_of_the_node(self, plane: PlaneUnderTest) -> None:
        machine = await enrolled(plane)
        await machine.report(required={5}, counter=70)
        plane.start_node()

        assert (await machine.report(required={6}, counter=69)).status == 409
        assert (await machine.check_in(counter=5)).status == 409

    async def test_more_than_three_restores_a_day_mean_a_clone(self, plane: PlaneUnderTest) -> None:
        machine = await enrolled(plane)
        for day_hour in range(4):
            await machine.report(required={day_hour}, restored=True)

        assert (await machine.check_in()).status == 403
        assert states_of(plane) == {"m": "quarantined"}

    async def test_restores_on_different_days_do_not(self, plane: PlaneUnderTest) -> None:
        machine = await enrolled(plane)
        for day in range(5):
            await machine.report(required={day}, restored=True)
            plane.clock.advance(hours=9)

        assert (await machine.check_in()).status == 204

    async def test_interleaved_boots_mean_a_clone(self, plane: PlaneUnderTest) -> None:
        machine = await enrolled(plane)
        twin = machine.copy()
        twin.boot, twin.counter = "boot-2", 50
        await machine.report(required={1})
        await twin.report(required={1})

        said = await machine.report(required={2}, counter=100)

        assert said.status == 403
        assert states_of(plane) == {"m": "quarantined"}

    async def test_a_report_queued_before_a_restart_may_come_late(
        self, plane: PlaneUnderTest
    ) -> None:
        machine = await enrolled(plane)
        await machine.report(required={1})
        queued = machine.next_counter()
        await machine.check_in(health=HealthV1(boot_id="boot-2"))

        assert (await machine.report(required={2}, counter=queued)).status == 202
        assert states_of(plane) == {"m": "active"}

    async def test_a_full_report_asked_for_meanwhile_is_still_wanted_after_a_repetition(
        self, plane: PlaneUnderTest
    ) -> None:
        machine = await enrolled(plane)
        await machine.report(required={1}, counter=5)

        def work(tx: Any) -> None:
            tx.ask_full_report([machine.client])
            tx.note(machine.client.hex())

        await plane.storage.decide("test", "machines.ask", work, now=plane.clock.now())
        await plane.standings.refresh([machine.client])
        await machine.report(required={1}, counter=5)

        said = await machine.check_in(counter=6, digest=digest_of({1}))
        assert decode(said.body, CheckInAnswerV1).full_report

    async def test_a_scan_that_is_asked_for_is_named_until_it_is_told_of_or_a_week_has_passed(
        self, plane: PlaneUnderTest
    ) -> None:
        async def asked() -> int:
            said = await machine.check_in()
            return decode(said.body, CheckInAnswerV1).scan if said.status == 200 else 0

        async def wish() -> int:
            now = plane.clock.now()
            work: Any = lambda tx: tx.ask_scan([machine.client], now=now)  # noqa: E731
            await plane.storage.decide("test", "machines.scan", work, now=now)
            await plane.standings.refresh([machine.client])
            return int(now.timestamp())

        machine = await enrolled(plane)
        await machine.report(required={1})
        before, wanted = await asked(), await wish()
        found = [await asked(), await asked()]
        await machine.report(required={1}, scan_for=wanted)
        after = await asked()
        await wish()
        plane.clock.advance(days=8)

        assert (before, found, after, await asked()) == (0, [wanted, wanted], 0, 0)

    async def test_settings_are_sent_to_whoever_takes_them_once_and_the_poll_interval_to_all(
        self, plane: PlaneUnderTest
    ) -> None:
        machine = await enrolled(plane)
        await machine.report(required={1})
        plane.told.put(msgspec.msgpack.encode(KeptAgents(poll_s=900, scan_every_s=14_400)))

        old = await machine.check_in()
        new = await machine.check_in(settings=b"")
        told = decode(new.body, CheckInAnswerV1).settings
        again = await machine.check_in(settings=mark_of(told))
        plane.told.put(None)
        back = decode((await machine.check_in(settings=mark_of(told))).body, CheckInAnswerV1)

        assert (old.status, new.status, again.status) == (204, 200, 204)
        assert (old.headers["patchtide-next-poll"], old.is_signed) == ("900", True)
        assert decode(told, AgentSettingsV1) == AgentSettingsV1(scan_every_s=14_400)
        assert (back.next_poll_s, decode(back.settings, AgentSettingsV1)) == (3600, NOTHING_SAID)

    async def test_a_few_bytes_may_not_unpack_to_a_million_numbers(
        self, plane: PlaneUnderTest
    ) -> None:
        machine = await enrolled(plane)

        assert (await machine.report(required=set(range(300_000)))).status == 400

    async def test_strangers_cannot_fill_the_memory_with_bodies(
        self, plane: PlaneUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(agents_plane, "LARGE_BODIES_LIMIT", 100_000)
        sent: list[dict[str, Any]] = []

        async def endless() -> dict[str, Any]:
            return {"type": "http.request", "body": bytes(50_000), "more_body": True}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        for _ in range(2):
            await plane.handlers["agents.report"]({"headers": []}, endless, send)

        assert [m["status"] for m in sent if "status" in m] == [503, 503]

    async def test_a_report_of_very_many_updates_is_taken_like_any_other(
        self, plane: PlaneUnderTest
    ) -> None:
        machine = await enrolled(plane)
        required = set(range(0, 40_000 * 300, 300))  # two bytes each: more than is checked at once

        said = await machine.report(required=required)

        assert said.status == 202
        [row] = plane.storage.states()
        assert row.required == encode_set(required)

    async def test_an_inventory_is_taken_once(self, plane: PlaneUnderTest) -> None:
        machine = await enrolled(plane)
        listed = InventoryV1(kind="packages", digest=sha256(BODY).digest(), body=pack(BODY))

        said = [await machine.post("agents.inventory", listed, 9) for _ in range(2)]

        assert [s.status for s in said] == [202, 409]

    async def test_a_kind_that_nobody_asked_for_is_refused(self, plane: PlaneUnderTest) -> None:
        machine = await enrolled(plane)
        listed = InventoryV1(kind="diary", digest=sha256(BODY).digest(), body=pack(BODY))

        said = await machine.post("agents.inventory", listed, machine.next_counter())

        assert (said.status, said.is_signed) == (400, True)
        assert plane.storage.inventory_digests() == []

    async def test_a_body_that_is_no_list_of_its_kind_is_refused(
        self, plane: PlaneUnderTest
    ) -> None:
        machine = await enrolled(plane)
        body = encode(HardwareV1(host_name="web1"))
        listed = InventoryV1(kind="packages", digest=sha256(body).digest(), body=pack(body))

        said = await machine.post("agents.inventory", listed, machine.next_counter())

        assert (said.status, said.is_signed) == (400, True)
        assert plane.storage.inventory_digests() == []

    async def test_a_list_may_not_unpack_to_more_than_its_kind_allows(
        self, plane: PlaneUnderTest
    ) -> None:
        machine = await enrolled(plane)
        body = bytes(INVENTORY_LIMITS["hardware"] + 1)
        listed = InventoryV1(kind="hardware", digest=sha256(body).digest(), body=pack(body))

        said = await machine.post("agents.inventory", listed, machine.next_counter())

        assert said.status == 400
        assert plane.storage.inventory_digests() == []

    async def test_one_machine_cannot_speak_for_another(self, plane: PlaneUnderTest) -> None:
        alice, mallory = await enrolled(plane, name="alice"), await enrolled(plane, name="mallory")
        await alice.report(required={1})
        mallory.client = alice.client

        stranger = MachineUnderTest(plane)
        stranger.client = bytes(16)
        said = [await m.report(required=set()) for m in (mallory, stranger)]

        assert [s.status for s in said] == [401, 401]
        assert plane.storage.states()[0].required == encode_set({1})

    async def test_a_retired_machine_is_a_stranger_on_every_node_and_leaves_its_name_nothing(
        self, plane: PlaneUnderTest
    ) -> None:
        """S43."""
        machine = await enrolled(plane, name="web-1")
        await machine.report(required={1})
        await plane.storage.decide("test", "x", described(machine), now=plane.clock.now())
        since = plane.storage.epoch()
        other_node = PlaneUnderTest(plane.storage, clock=plane.clock, site=plane.site)
        woken: list[bytes] = []
        before = await machine.check_in()

        def work(tx: Any) -> None:
            tx.set_client_state([machine.client], ClientState.DECOMMISSIONED)
            tx.note(machine.client.hex())

        await plane.storage.decide("test", "machines.decommission", work, now=plane.clock.now())
        await plane.standings.refresh([machine.client])
        # The other node read its machines, and begins to watch only now.
        watch = DecisionWatch(
            reading=plane.storage,
            since=since,
            standings=other_node.standings,
            read_again=asyncio.Event().wait,  # not asked: nothing is lost
            wake=woken.extend,
            call=woken.extend,  # neither is asked: nobody is called
            members=lambda _: asyncio.sleep(0, []),
        )
        await watch.step()
        here = await machine.check_in()
        machine.plane = other_node
        there = await machine.check_in()

        again = MachineUnderTest(plane, name="web-1")
        again.machine = machine.machine  # the same host, installed anew
        await again.enrol(await plane.token())
        plane.clock.advance(seconds=2)
        old_key = MachineUnderTest(plane, name="web-1")
        old_key.key, old_key.machine = machine.key, machine.machine

        assert (before.status, here.status, there.status) == (204, 401, 401)
        assert woken == [machine.client]
        assert DECISIONS_S < 1
        [old, new] = plane.storage.clients(limit=10)
        assert (new.name, new.uuid, new.state) == ("web-1", again.client, ClientState.ACTIVE)
        assert new.number != old.number and new.described == UNDESCRIBED
        assert plane.storage.states_of([new.number]) == []
        assert plane.storage.recent_events(new.number, limit=10) == []
        assert (await old_key.enrol(await plane.token())).status == 403

    async def test_whom_somebody_calls_at_one_node_every_node_rings_at(
        self, plane: PlaneUnderTest
    ) -> None:
        first, second = uuid4().bytes, uuid4().bytes
        collection = uuid4()
        asked: list[UUID] = []
        rung: list[bytes] = []

        async def members(of: UUID) -> Sequence[bytes]:
            asked.append(of)
            return [first, second]

        watch = DecisionWatch(
            reading=plane.storage,
            since=plane.storage.epoch(),
            standings=plane.standings,
            read_again=asyncio.Event().wait,
            wake=lambda uuids: pytest.fail("nobody's standing moved"),
            call=rung.extend,
            members=members,
        )
        for operation, subject, said in (
            ("machines.get-policy", first.hex(), {}),
            ("collections.get-policy", second.hex(), {"collection": "Web"}),
            ("collections.get-policy", collection.hex, {"machines": 2, "whole": True}),
            ("collections.get-policy", uuid4().hex, {"machines": 0}),
        ):
            await plane.storage.decide(
                "test",
                operation,
                lambda tx, subject=subject, said=said: tx.note(subject, **said),
                now=plane.clock.now(),
            )
            await watch.step()

        assert rung == [first, second, *sorted([first, second])]
        assert asked == [collection]

    async def test_who_takes_an_expected_machines_place_waits_though_its_token_lets_in(
        self, plane: PlaneUnderTest
    ) -> None:
        now = plane.clock.now()
        expected = ExpectedClient(uuid=uuid4().bytes, name="web-1", described=OWNED)

        def expect(tx: Any) -> None:
            tx.expect_clients([expected], site="main", now=now)
            tx.note(expected.uuid.hex())

        await plane.storage.decide("test", "machines.import", expect, now=now)
        machine = MachineUnderTest(plane, name="web-1")
        said = await machine.enrol(await plane.token())

        assert decode(said.body, EnrolledV1).waiting
        assert states_of(plane) == {"web-1": "waiting"}
        assert (await machine.check_in()).status == 403


class ForesightedSite(FakeSite):
    """Signs foreseen answers while it verifies, and counts those that it has to sign later."""

    later = 0

    async def verify(
        self, public_key: bytes, signature: bytes, message: bytes, answer: bytes = b""
    ) -> bool | bytes:
        is_good = verify(public_key, signature, message)
        return self._key.sign(answer) if is_good and answer else is_good

    def sign_answer(self, base: bytes) -> bytes:
        self.later += 1
        return super().sign_answer(base)


async def test_what_was_not_answered_as_foreseen_is_signed_for_what_it_is(storage: Any) -> None:
    site = ForesightedSite()
    plane = PlaneUnderTest(storage, site=site, verify=site.verify)
    machine = await enrolled(plane)
    site.later = 0

    said = [await machine.report(required={5}), await machine.check_in()]
    foreseen = site.later
    said += [
        await machine.report(required={6}, counter=1),
        await machine.check_in(shards={"debian-12": 2}),
    ]

    assert [s.status for s in said] == [202, 204, 409, 200]
    assert all(s.is_signed for s in said)
    assert (foreseen, site.later) == (0, 2)
