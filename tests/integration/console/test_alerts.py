"""The page of alerts: rules are defined and removed there, and what is raised is taken on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from patchtide.server.ports.alerts import Alert
from patchtide.server.ports.notifying import DeliveryFailed, Step
from tests.integration.console.visitor import ConsoleSite

pytestmark = pytest.mark.anyio


async def raised(site: ConsoleSite, rule: str) -> None:
    now = site.clock.now()
    alert = Alert(id="0" * 32, rule=rule, text="the disk is 95 % full", raised_at=now)

    def work(tx: object) -> None:
        tx.alerts.add(alert)  # type: ignore[attr-defined]
        tx.note(rule)  # type: ignore[attr-defined]

    await site.storage.decide("system", "alerts.measure", work, now=now)
    site.clock.advance(seconds=timedelta(minutes=2).total_seconds())


async def test_a_rule_is_defined_shown_and_removed_once_somebody_is_sure(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    empty = (await visitor.get("/alerts")).body.decode()
    made = await visitor.post("/alerts", {"name": "full", "watched": "disk", "limit": "90"})
    page = (await visitor.get("/alerts")).body.decode()
    asked = await visitor.post("/alerts/act", {"act": "remove-alert", "name": "full"})
    gone = await visitor.post("/alerts/act", {"act": "remove-alert", "name": "full", "sure": "yes"})
    after = (await visitor.get("/alerts")).body.decode()

    assert "Nobody is told of anything yet" in empty
    assert made.status == 303
    assert "from 90 %" in page and "Not measured" in page
    assert asked.status == 200 and "what it raised ends" in asked.body.decode()
    assert gone.status == 303
    assert ">full<" not in after


async def test_a_rule_that_could_never_end_is_refused_and_what_was_typed_stays(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    said = {"name": "full", "watched": "disk", "limit": "9", "margin": "12"}
    answer = await visitor.post("/alerts", said)

    page = answer.body.decode()
    assert answer.status == 400
    assert "The margin leaves nothing at which the alert would end." in page
    assert 'value="full"' in page and 'value="12"' in page


async def test_what_is_raised_shows_on_the_overview_until_it_ends_and_is_taken_on_by_name(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    await site.plane.machine("web-1")
    await visitor.post("/alerts", {"name": "full", "watched": "disk", "limit": "90"})
    await raised(site, "full")
    overview = (await visitor.get("/")).body.decode()
    await visitor.post("/alerts/act", {"act": "acknowledge", "name": "full"})
    page = (await visitor.get("/alerts")).body.decode()

    assert "alert is raised" in overview
    assert "The disk is 95 % full." in page
    assert "Taken on by <bdi>maria</bdi>" in page


async def test_channels_are_shown_tested_and_told_of_by_a_rule(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    administrator = await site.plane.token(role="full-administrator")
    made = await site.plane.ask(
        "PUT", "/api/v1/channels/ops", token=administrator, document={"to": ["ops@example.org"]}
    )
    rule = {"name": "full", "watched": "disk", "limit": "90", "channels": "ops"}
    await visitor.post("/alerts", rule)
    page = (await visitor.get("/alerts")).body.decode()
    good = (await visitor.post("/alerts/test", {"name": "ops"})).body.decode()
    site.plane.told.fails = DeliveryFailed(Step.TLS, "a <stranger>")
    bad = (await visitor.post("/alerts/test", {"name": "ops"})).body.decode()

    assert made.status == 200
    assert "tells ops" in page and "ops@example.org" in page
    assert "The channel ops took the test." in good
    assert "failed at the step “tls”: <bdi>a &lt;stranger&gt;</bdi>" in bad
