"""Channels on real databases: what is decided is told, at least once and under one id."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.errors import StaleRevision
from patchtide.server.channel_book import message, tell
from patchtide.server.courier import LEASE, PATIENCE, Courier, next_try
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.notifying import DeliveryFailed, Step
from tests.integration.http.plane import AdministratorsPlane
from tests.integration.http.test_alerts import Site, site  # noqa: F401 - a fixture
from tests.simulator.clock import START

pytestmark = pytest.mark.anyio


def a_courier(plane: AdministratorsPlane) -> Courier:
    storage: Storage = plane.storage
    return Courier(
        outbox=storage.outbox,
        lookups=storage,
        decisions=storage,
        sender=plane.told,
        clock=plane.clock,
    )


async def asked(plane: AdministratorsPlane, method: str, path: str, document: Any = None) -> Any:
    token = await plane.token(role="full-administrator")
    answer = await plane.ask(method, f"/api/v1{path}", token=token, document=document)
    assert answer.status < 300, answer.body
    return answer.json if answer.body else None


@pytest.fixture
async def plane(storage: Storage) -> AdministratorsPlane:
    made = AdministratorsPlane(storage=storage)
    await asked(made, "PUT", "/channels/ops", {"to": ["ops@example.org"]})
    return made


async def decided(plane: AdministratorsPlane, number: int = 1) -> None:
    now = plane.clock.now()
    told = message(f"{number:032x}", "test", "x", "y", at=now, n=number)
    await plane.storage.decide(
        "system", "test", lambda tx: tell(tx, told, ("ops", "gone", "ops")), now=now
    )


def ids(plane: AdministratorsPlane) -> list[int]:
    return [int(told.id, 16) for _, told in plane.told.sent]


async def test_what_is_decided_is_told_once_to_the_channels_that_there_are(
    plane: AdministratorsPlane,
) -> None:
    await decided(plane)
    await a_courier(plane).step()
    await a_courier(plane).step()

    assert ids(plane) == [1]
    [(channel, told)] = plane.told.sent
    assert (channel, told.data, told.at) == ("ops", {"n": 1}, plane.clock.now())


async def test_a_decision_that_fails_tells_nobody(plane: AdministratorsPlane) -> None:
    def broken(tx: Any) -> None:
        tell(tx, message("1" * 32, "test", "x", "y", at=START), ("ops",))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await plane.storage.decide("system", "test", broken, now=START)
    await a_courier(plane).step()

    assert ids(plane) == []


async def test_what_was_claimed_by_a_node_that_died_is_told_by_another_under_the_same_id(
    plane: AdministratorsPlane,
) -> None:
    await decided(plane)
    now = plane.clock.now()
    claimed = await plane.storage.decide(
        "system",
        "x",
        lambda tx: tx.outbox.claim(now=now, until=now + LEASE, limit=8, of_one=2),
        now=now,
    )
    await a_courier(plane).step()
    assert len(claimed) == 1 and ids(plane) == []
    plane.clock.advance(seconds=LEASE.total_seconds())
    await a_courier(plane).step()

    assert ids(plane) == [1]


class OvertakenOnce:
    """Decisions of a node that comes second when two write the first note of a channel."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._calls = 0

    async def decide(self, actor: str, operation: str, work: Any, *, now: datetime) -> Any:
        def overtaken(tx: Transaction) -> None:
            work(tx)
            raise StaleRevision

        self._calls += 1
        # The first claims what is to be brought.
        done = overtaken if self._calls == 2 else work
        return await self._storage.decide(actor, operation, done, now=now)


async def test_what_was_sent_stays_sent_when_another_node_notes_its_own_at_that_moment(
    plane: AdministratorsPlane,
) -> None:
    await decided(plane)

    await replace(a_courier(plane), decisions=OvertakenOnce(plane.storage)).step()
    plane.clock.advance(seconds=LEASE.total_seconds())
    await a_courier(plane).step()

    assert ids(plane) == [1]


async def test_a_channel_with_much_to_tell_keeps_no_other_waiting(
    plane: AdministratorsPlane,
) -> None:
    await asked(plane, "PUT", "/channels/other", {"to": ["ops@example.org"]})
    for number in range(1, 10):
        await decided(plane, number)
    now = plane.clock.now()
    late = message(f"{99:032x}", "test", "x", "y", at=now + timedelta(seconds=1))
    await plane.storage.decide("system", "test", lambda tx: tell(tx, late, ("other",)), now=now)
    plane.clock.advance(seconds=2)

    await a_courier(plane).step()

    assert sorted(ids(plane)) == [1, 2, 99]


async def test_what_fails_is_tried_again_later_and_given_up_after_days(
    plane: AdministratorsPlane,
) -> None:
    plane.told.fails = DeliveryFailed(Step.STATUS, "hooks.example answered 500")
    await decided(plane)
    await a_courier(plane).step()
    await a_courier(plane).step()
    assert ids(plane) == [1]
    [shown] = (await asked(plane, "GET", "/channels"))["items"]
    assert (shown["waiting"], shown["error"]) == (1, "status: hooks.example answered 500")
    plane.clock.advance(seconds=30)
    await a_courier(plane).step()
    assert ids(plane) == [1, 1]
    plane.clock.advance(seconds=PATIENCE.total_seconds())
    await a_courier(plane).step()
    plane.clock.advance(seconds=PATIENCE.total_seconds())
    await a_courier(plane).step()

    assert ids(plane) == [1, 1, 1]
    [shown] = (await asked(plane, "GET", "/channels"))["items"]
    assert (shown["waiting"], shown["given_up"]) == (0, 1)


async def test_whatever_goes_wrong_counts_as_a_try(plane: AdministratorsPlane) -> None:
    plane.told.fails = ValueError("a subject of two lines")
    await decided(plane)
    await a_courier(plane).step()
    tested = await asked(plane, "POST", "/alerts-channels/ops/test")
    plane.clock.advance(seconds=PATIENCE.total_seconds())
    await a_courier(plane).step()

    assert tested["delivered"] is False
    assert plane.storage.outbox.standings()["ops"].given_up == 1


async def test_what_some_of_a_channel_have_is_not_told_again(plane: AdministratorsPlane) -> None:
    plane.told.fails = DeliveryFailed(Step.RECIPIENT, "refused: b@x.example", is_taken=True)
    await decided(plane)
    await a_courier(plane).step()
    plane.clock.advance(seconds=PATIENCE.total_seconds())
    await a_courier(plane).step()

    assert ids(plane) == [1]


async def test_a_channel_that_is_gone_is_not_tried_again(plane: AdministratorsPlane) -> None:
    await decided(plane)
    await asked(plane, "DELETE", "/channels/ops")
    await a_courier(plane).step()

    assert ids(plane) == []
    assert plane.storage.outbox.standings()["ops"].given_up == 1


async def test_an_alert_is_told_when_it_is_raised_and_when_it_ends(site: Site) -> None:  # noqa: F811
    plane = site.plane
    await asked(plane, "PUT", "/channels/ops", {"to": ["ops@example.org"]})
    await site.define("full", watched="disk", limit=90, lasting_min=0, channels=["ops"])
    site.disk = 95
    await site.minutes()
    site.disk = 10
    await site.minutes()
    await a_courier(plane).step()

    told = sorted((m.at, m.kind, m.data["alert"]["value"]) for _, m in plane.told.sent)  # type: ignore[index]
    assert [each[1:] for each in told] == [("alert.raised", 95), ("alert.ended", 10)]


async def test_whoever_was_told_of_an_alert_is_told_when_its_rule_is_removed_or_tells_others(
    site: Site,  # noqa: F811
) -> None:
    plane = site.plane
    for channel in ("ops", "boss"):
        await asked(plane, "PUT", f"/channels/{channel}", {"to": [f"{channel}@example.org"]})
    rule = {"watched": "disk", "limit": 90, "lasting_min": 0}
    await site.define("full", **rule, channels=["ops", "boss"])
    site.disk = 95
    await site.minutes()
    plane.clock.advance(seconds=1)
    anew = await asked(plane, "PUT", "/alerts/full", {**rule, "channels": ["ops"]})
    plane.clock.advance(seconds=1)
    await asked(plane, "DELETE", "/alerts/full")
    await a_courier(plane).step()

    assert anew["is_raised"] is True
    told = sorted((channel, m.at, m.kind) for channel, m in plane.told.sent)
    assert [(channel, kind) for channel, _, kind in told] == [
        (channel, kind) for channel in ("boss", "ops") for kind in ("alert.raised", "alert.ended")
    ]
    assert {m.text for _, m in plane.told.sent} >= {"the rule full was removed"}


async def test_a_webhooks_secret_is_shown_once_and_kept_nowhere(
    plane: AdministratorsPlane,
) -> None:
    address = "https://hooks.example/T0/secret-path"
    made = await asked(plane, "PUT", "/channels/hook", {"address": address})
    again = await asked(plane, "PUT", "/channels/hook", {"address": address})
    listed = (await asked(plane, "GET", "/channels"))["items"]
    audit = [e.detail for e in plane.storage.audit()]

    assert made["secret"] != again["secret"]
    assert [one["to"] for one in listed if one["name"] == "hook"] == ["hooks.example"]
    assert "secret-path" not in str(listed) + str(audit)


@pytest.mark.parametrize(
    "channel",
    [
        {},
        {"address": "http://hooks.example/"},
        {"address": "https://user:pw@hooks.example/"},
        {"address": "https:///x"},
        {"address": "https://hooks.example/a b"},
        {"address": "https://hooks.example/", "to": ["a@example.org"]},
        {"to": ["a@example.org\nBcc: b@example.org"]},
        {"to": ["nobody"]},
    ],
)
async def test_what_is_no_channel_is_refused(channel: dict[str, Any]) -> None:
    plane = AdministratorsPlane()
    token = await plane.token(role="full-administrator")
    answer = await plane.ask("PUT", "/api/v1/channels/x", token=token, document=channel)

    assert answer.status == 400


async def test_a_test_says_which_step_failed(plane: AdministratorsPlane) -> None:
    done = await asked(plane, "POST", "/alerts-channels/ops/test")
    plane.told.fails = DeliveryFailed(Step.TLS, "a stranger")
    failed = await asked(plane, "POST", "/alerts-channels/ops/test")

    assert done == {"delivered": True, "step": "", "detail": ""}
    assert failed == {"delivered": False, "step": "tls", "detail": "a stranger"}


def test_tries_come_ever_later_and_those_of_two_messages_apart() -> None:
    waits = [next_try("a" * 32, n, begun=START, now=START) - START for n in range(1, 12)]  # type: ignore[operator]
    other = next_try("b" * 32, 1, begun=START, now=START)

    assert all(wait <= timedelta(hours=1) for wait in waits)
    assert all(a < b for a, b in pairwise(waits[:6]))
    assert other is not None and other - START != waits[0]
    assert next_try("a" * 32, 1, begun=START, now=START + PATIENCE) is None
