"""S21: the frozen signature profile, from the door's point of view. Every flaw is refused."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from patchtide.domain.errors import PatchtideError, Unavailable
from patchtide.server.admission import BURST, Caller, Door, Jump, NotAdmitted, SayAgain, TooMuch
from patchtide.server.ports.clients import ClientState, Standing
from patchtide.server.standings import Standings
from patchtide.wire.request_signature import (
    BadSignature,
    Flaw,
    Request,
    content_digest,
    sign_request,
)

NOW = 1_790_000_000
AUTHORITY = "site.example:8540"
ALICE, BOB = UUID(int=0xA11CE), UUID(int=0xB0B)
KEYS = {
    ALICE: Ed25519PrivateKey.from_private_bytes(b"a" * 32),
    BOB: Ed25519PrivateKey.from_private_bytes(b"b" * 32),
}
Headers = list[tuple[bytes, bytes]]


async def verify(public_key: bytes, signature: bytes, message: bytes, answer: bytes = b"") -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


@dataclass
class FakeReading:
    """The registry of two machines; the database's own reading is tested with the database."""

    state: ClientState = ClientState.ACTIVE
    asked: int = 0

    def standings(self, uuids: Sequence[bytes]) -> Sequence[Standing]:
        self.asked += 1
        return [one for one in self.standings_after(0, limit=2) if one.uuid in uuids]

    def standings_after(self, number: int, *, limit: int) -> Sequence[Standing]:
        found = [
            Standing(
                number=number,
                uuid=uuid.bytes,
                public_key=key.public_key().public_bytes_raw(),
                state=self.state,
                counter=7,
            )
            for number, (uuid, key) in enumerate(KEYS.items(), 1)
        ]
        return found[number : number + limit]


def admit(door: Door, request: Request, headers: Headers, *, now: float) -> Caller:
    return asyncio.run(door.admit(request, headers, now=now))


def a_door(reading: FakeReading | None = None, *, started: float = NOW - 3600) -> Door:
    standings = Standings(reading or FakeReading())  # type: ignore[arg-type]
    standings.load()
    return Door(standings, verify, authorities=frozenset({AUTHORITY}), started=started)


def a_request(**changes: str | bytes) -> Request:
    request = Request(
        method="POST", authority=AUTHORITY, path="/agent/v1/report", query="a=1", body=b"body"
    )
    return replace(request, **changes)  # type: ignore[arg-type]


def signed(
    request: Request, *, by: UUID = ALICE, counter: int = 8, created: int = NOW, key_id: str = ""
) -> Headers:
    pairs = sign_request(
        request, KEYS[by].sign, key_id=key_id or str(by), counter=counter, created=created
    )
    return [(name.encode(), value.encode()) for name, value in pairs]


def without(headers: Headers, name: bytes) -> Headers:
    return [pair for pair in headers if pair[0] != name]


def edited(headers: Headers, name: bytes, edit: Callable[[bytes], bytes]) -> Headers:
    return [(n, edit(value) if n == name else value) for n, value in headers]


INPUT, SIGNATURE, DIGEST, TYPE = (
    b"signature-input",
    b"signature",
    b"content-digest",
    b"content-type",
)
GOOD = a_request()
H = signed(GOOD)
BARE = a_request(method="GET", body=b"")


def swapped(old: bytes, new: bytes) -> Headers:
    changed = edited(H, INPUT, lambda value: value.replace(old, new))
    assert changed != H, "the case must change something"
    return changed


NEGATIVE: dict[str, tuple[Request, Headers, Flaw]] = {
    "method altered": (a_request(method="PUT"), H, Flaw.FORGED),
    "authority altered": (a_request(authority="evil.example"), H, Flaw.AUTHORITY),
    "authority in other letters": (a_request(authority=AUTHORITY.upper()), H, Flaw.AUTHORITY),
    "path altered": (a_request(path="/agent/v1/checkin"), H, Flaw.FORGED),
    "path with a slash more": (a_request(path="/agent/v1/report/"), H, Flaw.FORGED),
    "path encoded otherwise": (a_request(path="/agent/v1/repor%74"), H, Flaw.FORGED),
    "query altered": (a_request(query="a=2"), H, Flaw.FORGED),
    "query dropped": (a_request(query=""), H, Flaw.FORGED),
    "body altered": (a_request(body=b"bodY"), H, Flaw.DIGEST),
    "body and digest altered": (
        a_request(body=b"bodY"),
        edited(H, DIGEST, lambda _: content_digest(b"bodY").encode()),
        Flaw.FORGED,
    ),
    "body removed": (a_request(body=b""), H, Flaw.WRONG_SHAPE),
    "body added to a bare signature": (GOOD, signed(a_request(body=b"")), Flaw.WRONG_SHAPE),
    "digest header dropped": (GOOD, without(H, DIGEST), Flaw.DIGEST),
    "digest by another algorithm": (
        GOOD,
        edited(H, DIGEST, lambda v: v.replace(b"sha-256", b"sha-512")),
        Flaw.DIGEST,
    ),
    "content type altered": (
        GOOD,
        edited(H, TYPE, lambda _: b"application/json"),
        Flaw.CONTENT_TYPE,
    ),
    "content type dropped": (GOOD, without(H, TYPE), Flaw.CONTENT_TYPE),
    "no signature at all": (GOOD, [], Flaw.MISSING),
    "signature dropped": (GOOD, without(H, SIGNATURE), Flaw.MISSING),
    "input dropped": (GOOD, without(H, INPUT), Flaw.MISSING),
    "second signature header": (GOOD, [*H, (SIGNATURE, dict(H)[SIGNATURE])], Flaw.DUPLICATED),
    "second input header": (GOOD, [*H, (INPUT, dict(H)[INPUT])], Flaw.DUPLICATED),
    "second digest header": (GOOD, [*H, (b"Content-Digest", b"x")], Flaw.DUPLICATED),
    "second signature within the header": (
        GOOD,
        edited(H, SIGNATURE, lambda v: v + b", other=" + v[4:]),
        Flaw.MALFORMED,
    ),
    "old": (GOOD, signed(GOOD, created=NOW - 301), Flaw.TOO_OLD),
    "from the future": (GOOD, signed(GOOD, created=NOW + 301), Flaw.FROM_THE_FUTURE),
    "created altered": (GOOD, swapped(b"created=179", b"created=178"), Flaw.TOO_OLD),
    "created dropped": (GOOD, swapped(f";created={NOW}".encode(), b""), Flaw.MALFORMED),
    "counter altered": (GOOD, swapped(b'nonce="8"', b'nonce="9"'), Flaw.FORGED),
    "counter dropped": (GOOD, swapped(b';nonce="8"', b""), Flaw.MALFORMED),
    "counter of zero": (GOOD, swapped(b'nonce="8"', b'nonce="0"'), Flaw.MALFORMED),
    "wrong tag": (GOOD, swapped(b"agent-v1", b"agent-v2"), Flaw.MALFORMED),
    "other algorithm named": (GOOD, swapped(b"ed25519", b"hmac-sha256"), Flaw.MALFORMED),
    "fewer components": (GOOD, swapped(b' "@query"', b""), Flaw.WRONG_SHAPE),
    "components in another order": (
        GOOD,
        swapped(b'"@method" "@authority"', b'"@authority" "@method"'),
        Flaw.WRONG_SHAPE,
    ),
    "an expiry parameter more": (
        GOOD,
        edited(H, INPUT, lambda v: v + b";expires=9999999999"),
        Flaw.MALFORMED,
    ),
    "other agent's key": (GOOD, signed(GOOD, by=BOB, key_id=str(ALICE)), Flaw.FORGED),
    "other agent's name": (
        GOOD,
        swapped(str(ALICE).encode(), str(BOB).encode()),
        Flaw.FORGED,
    ),
    "unknown agent, as if forged": (GOOD, signed(GOOD, key_id=str(UUID(int=1))), Flaw.FORGED),
    "key named by a hash outside enrolment": (
        GOOD,
        signed(GOOD, key_id="0" * 64),
        Flaw.UNKNOWN_KEY,
    ),
    "key id in capitals": (GOOD, signed(GOOD, key_id=str(ALICE).upper()), Flaw.MALFORMED),
    "signature cut": (GOOD, edited(H, SIGNATURE, lambda v: v[:-6] + b":"), Flaw.MALFORMED),
    "signature of zeros": (
        GOOD,
        edited(H, SIGNATURE, lambda _: b"sig=:" + base64.b64encode(bytes(64)) + b":"),
        Flaw.FORGED,
    ),
    "line folded into the input": (GOOD, edited(H, INPUT, lambda v: v + b"\n"), Flaw.MALFORMED),
}


def flaw_of(error: PatchtideError) -> Flaw:
    if isinstance(error, SayAgain):
        return Flaw(error.answer.reason)
    assert isinstance(error, BadSignature)
    return error.flaw


@pytest.mark.parametrize(("request_", "headers", "flaw"), NEGATIVE.values(), ids=NEGATIVE)
def test_a_flawed_signature_is_refused(request_: Request, headers: Headers, flaw: Flaw) -> None:
    with pytest.raises((BadSignature, SayAgain)) as refused:
        admit(a_door(), request_, headers, now=NOW)

    assert flaw_of(refused.value) is flaw


@pytest.mark.parametrize("request_", [GOOD, BARE], ids=["with a body", "bare"])
@pytest.mark.parametrize("created", [NOW - 300, NOW, NOW + 300])
def test_both_shapes_are_admitted_within_the_window(request_: Request, created: int) -> None:
    caller = admit(a_door(), request_, signed(request_, created=created), now=NOW)

    assert caller.entry.uuid == ALICE.bytes


def test_a_replayed_counter_is_told_where_to_go_on() -> None:
    door = a_door()
    caller = admit(door, GOOD, H, now=NOW)
    door.take_counter(caller, now=NOW)

    with pytest.raises(Jump) as jump:
        door.take_counter(caller, now=NOW)

    assert jump.value.answer.expected > 8


def test_counters_out_of_order_are_taken_once_within_the_window() -> None:
    door = a_door()
    order = [80, 40, 79, 17]
    callers = [admit(door, GOOD, signed(GOOD, counter=n), now=NOW) for n in order]

    for caller in callers:
        door.take_counter(caller, now=NOW)

    for caller in [*callers, admit(door, GOOD, signed(GOOD, counter=16), now=NOW)]:
        with pytest.raises(Jump):
            door.take_counter(caller, now=NOW)


def test_a_request_made_before_this_node_started_must_be_made_again() -> None:
    door = a_door(started=NOW - 5)
    caller = admit(door, GOOD, signed(GOOD, created=NOW - 10), now=NOW)

    with pytest.raises(SayAgain):
        door.take_counter(caller, now=NOW)


@pytest.mark.parametrize("state", [s for s in ClientState if s is not ClientState.ACTIVE])
def test_only_active_machines_are_admitted(state: ClientState) -> None:
    is_retired = state is ClientState.DECOMMISSIONED

    with pytest.raises(BadSignature if is_retired else NotAdmitted):
        admit(a_door(FakeReading(state)), GOOD, H, now=NOW)


def test_a_machine_that_calls_too_often_is_slowed_down() -> None:
    door = a_door()

    with pytest.raises(TooMuch):
        for _ in range(int(BURST) + 1):
            admit(door, GOOD, H, now=NOW)

    assert admit(door, GOOD, H, now=NOW + 2)


def test_strangers_who_come_together_cost_one_question_to_the_database() -> None:
    reading = FakeReading()
    door = a_door(reading)

    async def all_at_once() -> list[Caller | BaseException]:
        strangers = [signed(GOOD, key_id=str(UUID(int=number))) for number in range(600)]
        calls = [door.admit(GOOD, headers, now=NOW) for headers in strangers]
        return await asyncio.gather(*calls, return_exceptions=True)

    refusals = [type(r) for r in asyncio.run(all_at_once())]

    assert (refusals.count(BadSignature), refusals.count(Unavailable)) == (500, 100)
    assert reading.asked == 1  # once for all of them


def test_a_forger_waits_as_long_as_a_stranger() -> None:
    reading = FakeReading()
    door = a_door(reading)
    forged = edited(H, b"signature", lambda value: value[:10] + b"AAAA" + value[14:])

    with pytest.raises(BadSignature):
        admit(door, GOOD, forged, now=NOW)

    assert reading.asked == 1  # as for somebody unknown


def test_an_older_answer_of_the_database_does_not_undo_a_quarantine() -> None:
    class SlowFirst(FakeReading):
        def standings(self, uuids: Sequence[bytes]) -> Sequence[Standing]:
            found = super().standings(uuids)
            if self.asked == 1:
                asked.set()
                decided.wait(0.2)
            return found

    asked, decided = threading.Event(), threading.Event()
    reading = SlowFirst()
    standings = Standings(reading)  # type: ignore[arg-type]
    standings.load()

    async def meanwhile() -> None:
        older = asyncio.create_task(standings.refresh([ALICE.bytes]))
        await asyncio.to_thread(asked.wait)
        reading.state = ClientState.QUARANTINED
        newer = asyncio.create_task(standings.refresh([ALICE.bytes]))
        newer.add_done_callback(lambda _: decided.set())
        await asyncio.gather(older, newer)

    asyncio.run(meanwhile())

    found = standings.find(ALICE.bytes)
    assert found is not None and found.state is ClientState.QUARANTINED


def test_what_is_forgotten_leaves_no_presence_behind() -> None:
    standings = Standings(FakeReading())  # type: ignore[arg-type]
    standings.load()
    for uuid in KEYS:
        found = standings.find(uuid.bytes)
        assert found is not None
        standings.seen(found, now=1.0, health=b"")

    standings.keep_only({BOB.bytes})

    assert [presence.client for presence in standings.unsaved()] == [2]


def test_a_machine_that_enrolled_at_another_node_is_found_while_strangers_ask() -> None:
    reading = FakeReading()
    door = Door(
        Standings(reading),  # type: ignore[arg-type]
        verify,
        authorities=frozenset({AUTHORITY}),
        started=NOW,
    )

    async def together() -> list[Caller | BaseException]:
        stranger = signed(GOOD, key_id=str(UUID(int=1)))
        calls = [door.admit(GOOD, headers, now=NOW) for headers in (stranger, H)]
        return await asyncio.gather(*calls, return_exceptions=True)

    refused, found = asyncio.run(together())

    assert isinstance(refused, BadSignature)
    assert isinstance(found, Caller)
