"""Subscriptions: reports that are sent by themselves, added, listed and removed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from patchtide.domain.access.principals import Anonymous, Principal
from patchtide.domain.access.rights import Kind, Right, Verb, holds
from patchtide.domain.errors import InvalidDocument, NotFound, Problem, WrongState
from patchtide.server.channel_book import CHANNELS, read_channels
from patchtide.server.collection_checks import may_ask
from patchtide.server.context import Call
from patchtide.server.named_reports import compiled
from patchtide.server.patterns import SLUG
from patchtide.server.ports.decisions import Transaction
from patchtide.server.report_scope import AboutReport, ReportName
from patchtide.server.saved_searches import OneName
from patchtide.server.subscription_book import (
    MOST,
    MOST_OWN,
    SUBSCRIPTIONS,
    FileForm,
    Subscription,
    pack_subscriptions,
    read_subscriptions,
)
from patchtide.server.synchronisation_plan import (
    AskedCycle,
    AskedDays,
    AskedDaysAfter,
    AskedTime,
    AskedZone,
    SaidSchedule,
    schedule_of,
)
from patchtide.server.table import Nothing, Output

Label = Annotated[str, Meta(pattern=SLUG)]
OVERSEEING = Right(Kind.ALERTS, Verb.ADMINISTER)
"""Who defines the channels sees all that goes there, and may stop it."""


class AddSubscription(AboutReport, kw_only=True, frozen=True):
    name: Annotated[
        Label, Meta(description="What it is called on the site: small letters, digits, hyphens.")
    ]
    report: Annotated[ReportName, Meta(description="Which report; `reports list` says which.")]
    channel: Annotated[Label, Meta(description="The channel by which it is sent.")]
    format: Annotated[
        FileForm, Meta(description="Of the file that goes with e-mail; a webhook gets JSON.")
    ] = "csv"
    every_h: Annotated[
        int, Meta(ge=0, le=24 * 31, description="So many hours after it was sent last.")
    ] = 0
    days: AskedDays = ()
    cycle: AskedCycle = ""
    days_after: AskedDaysAfter = 0
    at: AskedTime = ""
    zone: AskedZone = ""


class ShownSubscription(Output, kw_only=True, frozen=True):
    name: str
    report: str
    about: dict[str, str]
    """The parameters that were given."""
    channel: str
    format: str
    every_h: int
    days: tuple[str, ...]
    cycle: str
    days_after: int
    at: str
    zone: str
    owner: str
    """With whose rights it is made."""
    owner_name: str
    next_at: datetime | None
    sent_at: datetime | None
    """Null: not yet."""
    halted: str
    """Why it was not sent when it was due last."""
    is_wanted: bool
    """Somebody wants it now: it is sent within a minute."""


class SubscriptionList(Output, kw_only=True, frozen=True):
    items: tuple[ShownSubscription, ...]


async def add(call: Call, principal: Principal, asked: AddSubscription) -> ShownSubscription:
    """Add one, in place of an own one of the same name.

    Raises:
        InvalidDocument: it has no schedule, the report takes no such parameters, or there is no
            such channel.
        InvalidQuery
        NotFound: there is no such list, search, update or machine.
        WrongState: the name is somebody else's, or there are too many already.
    """
    made = _made(asked, principal, now=call.now)
    question = msgspec.structs.replace(made.asked(), limit=1)
    may_ask(principal, question.collection, question.machines)
    await call.read_fleet(lambda: compiled(call.context, question, owner=made.owner))

    def work(tx: Transaction) -> Subscription:
        known = dict(read_subscriptions(tx.lock_setting(SUBSCRIPTIONS)))
        before = known.get(made.name)
        _check(tx, made, before, known)
        kept = made if before is None else msgspec.structs.replace(made, sent_at=before.sent_at)
        known[made.name] = kept
        tx.put_setting(SUBSCRIPTIONS, pack_subscriptions(known.values()))
        tx.note(made.name, report=made.report, channel=made.channel, format=made.format)
        return kept

    return _shown(await call.decide(principal, work), now=call.now)


def _made(asked: AddSubscription, principal: Principal, *, now: datetime) -> Subscription:
    about = {name: getattr(asked, name) for name in AboutReport.__struct_fields__}
    return Subscription(
        name=asked.name,
        report=asked.report,
        about={name: str(value) for name, value in about.items() if value not in (None, "")},
        channel=asked.channel,
        format=asked.format,
        schedule=_schedule(asked),
        owner=principal.actor,
        owner_name="" if isinstance(principal, Anonymous) else principal.name,
        since=now.timestamp(),
    )


def _schedule(asked: AddSubscription) -> SaidSchedule:
    """Raises InvalidDocument."""
    if not (asked.every_h or asked.days or asked.cycle):
        raise InvalidDocument([Problem("days", "or cycle or every_h: say when it is sent")])
    names = set(SaidSchedule.__struct_fields__) & set(asked.__struct_fields__)
    words = {name: getattr(asked, name) for name in names}
    said = SaidSchedule(**{name: value for name, value in words.items() if value != ""})
    schedule_of(said)
    return said


def _check(
    tx: Transaction,
    made: Subscription,
    before: Subscription | None,
    known: Mapping[str, Subscription],
) -> None:
    if made.channel not in read_channels(tx.setting(CHANNELS)):
        raise InvalidDocument([Problem("channel", f"there is none called {made.channel}")])
    if before is not None:
        if before.owner != made.owner:
            raise WrongState(f"{made.name} is what somebody else calls one; take another name")
        return
    own = sum(one.owner == made.owner for one in known.values())
    if own >= MOST_OWN or len(known) >= MOST:
        raise WrongState(
            f"somebody has {MOST_OWN} at most, and a site {MOST}; remove one of them first"
        )


async def list_some(call: Call, principal: Principal, asked: Nothing) -> SubscriptionList:
    """Return the caller's own; of who defines channels, all."""
    known = read_subscriptions(await call.read(lambda: call.context.lookups.setting(SUBSCRIPTIONS)))
    now = call.now
    return SubscriptionList(
        items=tuple(_shown(one, now=now) for one in known.values() if _may_see(principal, one))
    )


async def send_soon(call: Call, principal: Principal, asked: OneName) -> ShownSubscription:
    """Have it sent as soon as a node looks, as if it were due.

    Raises:
        NotFound: there is none of that name, or it is somebody else's.
    """

    def work(tx: Transaction) -> Subscription:
        known = dict(read_subscriptions(tx.lock_setting(SUBSCRIPTIONS)))
        one = known.get(asked.name)
        if one is None or one.owner != principal.actor:
            raise NotFound
        known[one.name] = wanted = msgspec.structs.replace(one, is_wanted=True)
        tx.put_setting(SUBSCRIPTIONS, pack_subscriptions(known.values()))
        tx.note(one.name)
        return wanted

    return _shown(await call.decide(principal, work), now=call.now)


async def remove(call: Call, principal: Principal, asked: OneName) -> None:
    """Raises NotFound."""

    def work(tx: Transaction) -> None:
        known = dict(read_subscriptions(tx.lock_setting(SUBSCRIPTIONS)))
        one = known.pop(asked.name, None)
        if one is None or not _may_see(principal, one):
            raise NotFound
        tx.put_setting(SUBSCRIPTIONS, pack_subscriptions(known.values()))
        tx.note(asked.name)

    await call.decide(principal, work)


def _may_see(principal: Principal, one: Subscription) -> bool:
    if isinstance(principal, Anonymous):
        return False
    return one.owner == principal.actor or holds(principal.rights, OVERSEEING)


def _shown(one: Subscription, *, now: datetime) -> ShownSubscription:
    said = one.schedule
    return ShownSubscription(
        name=one.name,
        report=one.report,
        about=dict(one.about),
        channel=one.channel,
        format=one.format,
        every_h=said.every_h,
        days=said.days,
        cycle=said.cycle,
        days_after=said.days_after,
        at=said.at,
        zone=said.zone,
        owner=one.owner,
        owner_name=one.owner_name,
        next_at=one.next_at(now),
        sent_at=datetime.fromtimestamp(one.sent_at, UTC) if one.sent_at else None,
        halted=one.halted,
        is_wanted=one.is_wanted,
    )
