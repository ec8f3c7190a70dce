"""Who uses a collection: as long as anybody does, it cannot be deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from uuid import UUID

from patchtide.domain.access.rights import AT
from patchtide.domain.collections.definitions import Reference
from patchtide.domain.collections.names import lists_asked, names_asked
from patchtide.server.collection_asks import held
from patchtide.server.kept_agent_settings import OF_COLLECTIONS, read_order
from patchtide.server.ports.calendar import EntryKind
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.ports.decisions import Transaction
from patchtide.server.subscription_book import SUBSCRIPTIONS, read_subscriptions

Use = Callable[[Transaction, UUID], Iterator[str]]
"""Yields in words what uses it, by name."""


def uses(tx: Transaction, collection: UUID, *, may_name: bool) -> list[str]:
    """Return in words what uses it. `may_name`: who asks may hear what people are called."""
    told = [told for use in _USES for told in use(tx, collection)]
    return told + ending_at(tx, str(collection), may_name=may_name)


def ending_at(tx: Transaction, place: str, *, may_name: bool) -> list[str]:
    """Return in words whose rights end there."""
    rights = list(_rights(tx, place))
    return ["somebody has rights within it"] if rights and not may_name else rights


def naming(tx: Transaction, one: StoredCollection) -> Iterator[str]:
    """Yield in words what names it in a query: as long as anything does, it is called so."""
    for other in held(tx).values():
        if one.id in other.definition.asks_for:
            yield f"{other.name} {Reference.ASKS} it"
    yield from _subscriptions_naming(tx, one.name)


def naming_list(tx: Transaction, name: str, *, may_name: bool) -> list[str]:
    """Return in words what names a list of updates in a query over machines."""
    collections = [
        f"{one.name} asks for it"
        for one in held(tx).values()
        if name.casefold() in lists_asked(one.definition.query)
    ]
    subscriptions = [
        f"the subscription {one.name} asks for it"
        for one in read_subscriptions(tx.setting(SUBSCRIPTIONS)).values()
        if name.casefold() in lists_asked(one.about.get("machines", ""))
    ]
    return [*(collections if may_name else _ANY[: len(collections)]), *subscriptions]


def _subscriptions_naming(tx: Transaction, name: str) -> Iterator[str]:
    for one in read_subscriptions(tx.setting(SUBSCRIPTIONS)).values():
        if name.casefold() in names_asked(one.about.get("machines", "")):
            yield f"the subscription {one.name} asks for it"


def _collections(tx: Transaction, collection: UUID) -> Iterator[str]:
    known = held(tx)
    for one in known.values():
        for how, other in one.definition.references():
            if other == collection:
                yield f"{one.name} {how} it"
    if collection in known:
        yield from _subscriptions_naming(tx, known[collection].name)


def _subscriptions(tx: Transaction, collection: UUID) -> Iterator[str]:
    for one in read_subscriptions(tx.setting(SUBSCRIPTIONS)).values():
        if one.about.get("collection") == str(collection):
            yield f"the subscription {one.name} reports on it"


def _rights(tx: Transaction, place: str) -> Iterator[str]:
    limit = f"{AT}{place}"
    for user in (*tx.lock_users(), *tx.disabled_users()):
        if any(text.endswith(limit) for text in user.rights):
            yield f"{user.name} has rights within it"
    for token in tx.lock_api_tokens():
        if any(text.endswith(limit) for text in token.rights):
            yield f"the API token {token.name} has rights within it"


def _calendar(tx: Transaction, collection: UUID) -> Iterator[str]:
    counts = Counter(entry.kind for entry in tx.calendar.of(collection))
    for kind, words in _ENTRIES.items():
        if count := counts[kind]:
            yield f"it has {words.format(count)}"


def _schedules(tx: Transaction, collection: UUID) -> Iterator[str]:
    if count := tx.clients_scheduled(collection):
        yield f"it is the schedule of {count} machine{'s' if count > 1 else ''}"


def _agents(tx: Transaction, collection: UUID) -> Iterator[str]:
    if any(one.collection == collection for one in read_order(tx.setting(OF_COLLECTIONS))):
        yield "it has settings for agents"


_ANY = ["a collection asks for it"]
_ENTRIES = {
    EntryKind.WINDOW: "maintenance windows ({})",
    EntryKind.FREEZE: "freezes ({})",
    EntryKind.HOURS: "business hours",
}
_USES: tuple[Use, ...] = (_collections, _subscriptions, _calendar, _schedules, _agents)
