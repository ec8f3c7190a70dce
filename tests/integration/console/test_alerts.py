"""Alerts, the channels that tell of them, and subscriptions to reports, as forms of the console."""

from __future__ import annotations

from datetime import timedelta

import pytest

from patchtide.server.channel_book import message, tell
from patchtide.server.courier import Courier
from patchtide.server.ports.alerts import Alert
from patchtide.server.ports.notifying import DeliveryFailed, Step
from patchtide.server.subscription_watch import SubscriptionWatch
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
    ready = (await visitor.get("/alerts")).body.decode()
    made = await visitor.post("/alerts", {"name": "full", "watched": "disk", "limit": "90"})
    page = (await visitor.get("/alerts")).body.decode()
    asked = await visitor.post("/alerts/act", {"act": "remove-alert", "name": "full"})
    gone = await visitor.post("/alerts/act", {"act": "remove-alert", "name": "full", "sure": "yes"})
    after = (await visitor.get("/alerts")).body.decode()
    for name in ("clones", "divergence", "limits"):
        await visitor.post("/alerts/act", {"act": "remove-alert", "name": name, "sure": "yes"})
    empty = (await visitor.get("/alerts")).body.decode()

    assert "<bdi>clones</bdi>" in ready
    assert "Nobody is told of anything yet" in empty and "<bdi>clones</bdi>" not in empty
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


async def test_a_channel_is_defined_tested_changed_and_removed_and_rules_tell_it(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    empty = (await visitor.get("/channels")).body.decode()
    said = {"name": "ops", "kind": "email", "to": "ops@example.org, boss@example.org"}
    await visitor.post("/channels", said)
    rule = {"name": "full", "watched": "disk", "limit": "90", "channels": "ops"}
    await visitor.post("/alerts", rule)
    alerts = (await visitor.get("/alerts?change=full")).body.decode()
    good = (await visitor.post("/channels/test", {"name": "ops"})).body.decode()
    site.plane.told.fails = DeliveryFailed(Step.TLS, "a <stranger>")
    bad = (await visitor.post("/channels/test", {"name": "ops"})).body.decode()
    changed = (await visitor.get("/channels?change=ops")).body.decode()
    hook = {"name": "hook", "kind": "webhook", "address": "https://hooks.example/key"}
    made = (await visitor.post("/channels", hook)).body.decode()
    wrong = await visitor.post("/channels", {**hook, "address": "http://hooks.example"})
    asked = await visitor.post("/channels/act", {"act": "remove-channel", "name": "hook"})
    gone = await visitor.post(
        "/channels/act", {"act": "remove-channel", "name": "hook", "sure": "yes"}
    )
    page = (await visitor.get("/channels")).body.decode()

    assert "Nobody outside is told of anything" in empty
    assert "tells ops" in alerts and 'value="ops" checked' in alerts and "Change full" in alerts
    assert "The channel ops took the test." in good
    assert "failed at the step “tls”: <bdi>a &lt;stranger&gt;</bdi>" in bad
    assert 'value="ops@example.org, boss@example.org"' in changed
    assert site.plane.told.secret_of(b"") in made and "It is shown this once" in made
    assert wrong.status == 400 and "is none that begins with https://" in wrong.body.decode()
    assert "is subscribed to it is not sent" in asked.body.decode() and gone.status == 303
    assert ">hook<" not in page and "nothing yet" in page


async def test_what_a_channel_took_last_and_what_went_wrong_is_told_in_words(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    await visitor.post("/channels", {"name": "ops", "kind": "email", "to": "ops@example.org"})
    courier = Courier(
        outbox=site.storage.outbox,
        lookups=site.storage,
        decisions=site.storage,
        sender=site.plane.told,
        clock=site.clock,
    )

    async def told(subject: str) -> None:
        now = site.clock.now()
        said = message(subject * 32, "test", f"message {subject}", "y", at=now)
        await site.storage.decide("system", "x", lambda tx: tell(tx, said, ("ops",)), now=now)
        await courier.step()

    await told("a")
    site.plane.told.fails = DeliveryFailed(Step.RECIPIENT, "no <boss> here")
    await told("b")
    page = (await visitor.get("/channels")).body.decode()

    assert "<bdi>message a</bdi>" in page
    assert "Some of them were refused: <bdi>no &lt;boss&gt; here</bdi>" in page


async def test_a_report_is_subscribed_to_from_its_page_changed_sent_and_removed(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    await visitor.post("/channels", {"name": "ops", "kind": "email", "to": "ops@example.org"})
    empty = (await visitor.get("/subscriptions")).body.decode()
    form = (await visitor.get("/new-subscription?report=by-update&machines=web")).body.decode()
    said = {
        "name": "weekly", "report": "by-update", "machines": "web", "channel": "ops",
        "format": "xlsx", "way": "days", "days": "monday", "at": "07:00", "zone": "UTC",
        "every_h": "24", "cycle": "sap", "days_after": "0",
    }  # fmt: skip
    never = await visitor.post("/subscriptions", {**said, "days": ""})
    unread = await visitor.post("/subscriptions", {**said, "machines": "platform ="})
    await visitor.post("/subscriptions", said)
    await visitor.post("/subscriptions/act", {"act": "send-now", "name": "weekly"})
    page = (await visitor.get("/subscriptions")).body.decode()
    changing = (await visitor.get("/new-subscription?change=weekly")).body.decode()
    watch = SubscriptionWatch(context=site.plane.context, address="https://hq.example")
    await visitor.post("/channels/act", {"act": "remove-channel", "name": "ops", "sure": "yes"})
    await watch.step()
    halted = (await visitor.get("/subscriptions")).body.decode()
    await visitor.post(
        "/subscriptions/act", {"act": "unsubscribe", "name": "weekly", "sure": "yes"}
    )

    assert "No report is sent by itself" in empty
    assert 'value="by-update" selected' in form and 'name="machines" value="web"' in form
    assert never.status == 400 and "say when it is sent" in never.body.decode()
    assert unread.status == 400 and "data-misread" in unread.body.decode()
    assert "Monday at 07:00 UTC" in page and "within a minute" in page
    assert 'href="/reports/by-update?machines=web"' in page
    assert 'value="monday" checked' in changing and 'value="xlsx" selected' in changing
    assert "Not sent: <bdi>there is no channel ops any more</bdi>" in halted
    assert "No report is sent by itself" in (await visitor.get("/subscriptions")).body.decode()
