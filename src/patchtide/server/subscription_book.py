"""The subscriptions as they are kept, and what becomes of one when it is due."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

from patchtide.domain.access.grants import Scope
from patchtide.domain.access.principals import (
    SignedIn,
    TokenHolder,
    may_read,
    may_read_updates,
    scopes_of,
)
from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.domain.schedules.sending import is_due, next_sending
from patchtide.server.channel_book import CHANNELS, read_channels, tell
from patchtide.server.makers import held_now
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.notifying import Message
from patchtide.server.ports.reading import Lookups
from patchtide.server.report_scope import AskReport, ReportName
from patchtide.server.role_book import held_by
from patchtide.server.synchronisation_plan import SaidSchedule, schedule_of

SUBSCRIPTIONS = "reports.subscriptions"
MOST, MOST_OWN = 200, 20
NEEDED = (Right(Kind.MACHINES, Verb.READ), Right(Kind.CATALOG, Verb.READ))
"""What reading reports takes."""
FileForm = Literal["csv", "xlsx", "pdf"]


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A report that is sent by itself, with the rights that its owner has then."""

    name: str
    report: ReportName
    about: Mapping[str, str]
    """The parameters that were given."""
    channel: str
    format: FileForm
    schedule: SaidSchedule
    owner: str
    owner_name: str
    since: float
    """When it was sent last or told why not, or was added or changed after that."""
    sent_at: float = 0.0
    """0: not yet."""
    halted: str = ""
    """Why it was not sent when it was due last."""
    is_wanted: bool = False
    """Somebody wants it now, whatever its schedule says."""

    def asked(self) -> AskReport:
        return msgspec.convert({"name": self.report, **self.about}, AskReport, strict=False)

    def next_at(self, now: datetime) -> datetime | None:
        return next_sending(schedule_of(self.schedule), since=self._since, now=now)

    def is_due(self, now: datetime) -> bool:
        return self.is_wanted or is_due(schedule_of(self.schedule), since=self._since, now=now)

    @property
    def _since(self) -> datetime:
        return datetime.fromtimestamp(self.since, UTC)


def read_subscriptions(data: bytes | None) -> Mapping[str, Subscription]:
    found = msgspec.msgpack.decode(data, type=list[Subscription]) if data else []
    return {one.name: one for one in found}


def pack_subscriptions(subscriptions: Iterable[Subscription]) -> bytes:
    return msgspec.msgpack.encode(sorted(subscriptions, key=lambda one: one.name))


def owner_of(one: Subscription, lookups: Lookups, *, now: datetime) -> SignedIn:
    """Return whoever it is made for, with the rights that are hers now."""
    kind, _, id = one.owner.partition(":")
    if kind == "user":
        grants = [user.rights for user in lookups.users() if user.id == id and user.is_able]
    else:
        tokens = (token for token in lookups.api_tokens() if token.id == id)
        grants = [t.rights for t in tokens if t.expires_at is None or now < t.expires_at]
    rights = held_by(grants[0], lookups.setting) if grants else frozenset[Right]()
    return TokenHolder(token_id=id, name=one.owner_name, rights=rights, expires_at=None)


def bounds_of(owner: SignedIn) -> frozenset[Scope]:
    """Return what a report for her is kept within."""
    return scopes_of(owner, NEEDED, narrows_updates=True)


def conclude(
    tx: Transaction,
    seen: Subscription,
    found: Message | str,
    *,
    now: datetime,
    within: frozenset[Scope] = frozenset(),
) -> str:
    """Send what was found for a subscription that was due, or write down why it is not sent.

    Nothing happens when another node was quicker, or somebody changed it meanwhile, or its owner
    may see other things by now than what it was kept `within`: then it is due still. What keeps it
    from being sent stands in the audit once, until it changes. Return what happened, in words.
    """
    # Before the setting, as whoever decides is locked before what she changes.
    held = held_now(tx, seen.owner, now=now)
    known = dict(read_subscriptions(tx.lock_setting(SUBSCRIPTIONS)))
    if known.get(seen.name) != seen:
        return ""
    why = without_rights(held) or _without_channel(tx, seen.channel)
    owner = TokenHolder(token_id="", name="", rights=held, expires_at=None)
    if not why and bounds_of(owner) != within:
        return ""
    if isinstance(found, str):
        why = why or found
    sent_at = seen.sent_at
    if not why and isinstance(found, Message):
        sent_at = now.timestamp()
        tell(tx, found, (seen.channel,))
        tx.note(seen.name, report=seen.report, channel=seen.channel, by=seen.owner)
    elif why != seen.halted:
        tx.note(seen.name, report=seen.report, halted=why, by=seen.owner)
    known[seen.name] = msgspec.structs.replace(
        seen, since=now.timestamp(), sent_at=sent_at, halted=why, is_wanted=False
    )
    tx.put_setting(SUBSCRIPTIONS, pack_subscriptions(known.values()))
    return f"not sent: {why}" if why else f"sent to {seen.channel}"


def without_rights(held: frozenset[Right]) -> str:
    """Return why nothing is made with these rights; empty: with them reports are read."""
    if not held:
        return "its owner is gone"
    reads = {Kind.MACHINES: may_read(held, Kind.MACHINES), Kind.CATALOG: may_read_updates(held)}
    lost = [one for one in NEEDED if not reads[one.kind]]
    return f"its owner has lost {' and '.join(map(str, lost))}" if lost else ""


def _without_channel(tx: Transaction, channel: str) -> str:
    is_there = channel in read_channels(tx.setting(CHANNELS))
    return "" if is_there else f"there is no channel {channel} any more"
