"""When the rule of four eyes covers an operation, and what that is done to: one answer each.

What makes somebody mightier is covered, and what takes much away from many. What defends - shutting
a person out, revoking a token, quarantining a machine - never waits for anybody.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256
from typing import Any
from uuid import UUID

from patchtide.domain.access.grants import ROLE, come_to
from patchtide.domain.access.limits import Deed
from patchtide.domain.access.rights import AT, KEEPING, TIER_ZERO, Right, holds
from patchtide.domain.collections.definitions import depending
from patchtide.domain.errors import NotFound
from patchtide.server.calendar_book import frozen_by
from patchtide.server.calendar_entries import LIFTED
from patchtide.server.collection_asks import held
from patchtide.server.collection_checks import Held
from patchtide.server.collection_reach import holder_within
from patchtide.server.described_reach import deciding
from patchtide.server.disruptions import done_lately
from patchtide.server.four_eyes import FOUR_EYES, Asking, FourEyes, Told, read_rule
from patchtide.server.granting import Asked
from patchtide.server.kept_agent_settings import AGENTS, OF_COLLECTIONS
from patchtide.server.machine_descriptions import FROZEN, HELD_BACK, RIGHTS_END_AT
from patchtide.server.ports.decisions import Transaction
from patchtide.server.role_book import ROLE_BOOK, hands_on, held_by, read_roles, rights_by
from patchtide.server.taking_over import BUILD_WAS, TAKES_OVER, decides_who_is_held_back
from patchtide.server.tier_zero import deciding_tier


def _asked_rights(tx: Transaction, asked: Asked) -> frozenset[Right]:
    """Return the rights that the asked grants come to now, but for where."""
    texts = [*asked.rights, *([f"{ROLE}{asked.role}"] if asked.role else [])]
    return come_to(texts, rights_by(read_roles(tx.setting(ROLE_BOOK)).values()))


def _handed(tx: Transaction, asked: Asked) -> list[object]:
    rights = _asked_rights(tx, asked)
    return [sorted(map(str, rights)), _made_of(tx, _handed_within(tx, asked))]


def _handed_within(tx: Transaction, asked: Asked) -> frozenset[str]:
    return frozenset({asked.within, *(one.within for one in _asked_rights(tx, asked))})


def _made_of(tx: Transaction, places: Collection[str]) -> list[object]:
    """Return how collections were said when rights are to end there, and all they are made of."""
    if not any(places):
        return []
    found = sorted(deciding(held(tx), frozenset(places)), key=lambda one: one.id)
    return [[str(one.id), one.revision, _named(tx, one.id)] for one in found]


def _named(tx: Transaction, collection: UUID) -> str:
    numbers = ",".join(map(str, tx.collections.named(collection)))
    return sha256(numbers.encode()).hexdigest()


def _person(tx: Transaction, asked: Any) -> list[object]:
    user = tx.lock_user(asked.user)
    if user is None:
        raise NotFound
    rights = held_by(user.rights, tx.setting)
    return [
        user.name,
        user.rights,
        sorted(map(str, rights)),
        _made_of(tx, {one.within for one in rights}),
        user.disabled_at is None,
        user.password_hash,  # whoever set it since then is who signs in with it
    ]


def _person_and_who_let_her_in(tx: Transaction, asked: Any) -> list[object]:
    user = tx.lock_user(asked.user)
    return [*_person(tx, asked), user.let_in_by if user else ""]


def _held_within(tx: Transaction, asked: Any) -> frozenset[str]:
    user = tx.lock_user(asked.user)
    return (
        frozenset(one.within for one in held_by(user.rights, tx.setting)) if user else frozenset()
    )


def _person_and_grants(tx: Transaction, asked: Any) -> list[object]:
    return [*_person(tx, asked), *_handed(tx, asked)]


def _makes_administrator(asking: Asking) -> bool:
    return holds(_asked_rights(asking.tx, asking.asked), KEEPING)


def _role(tx: Transaction, asked: Any) -> list[object]:
    was = read_roles(tx.setting(ROLE_BOOK)).get(asked.name)
    people = [*tx.lock_users(), *tx.disabled_users()]
    holders = sorted(user.id for user in people if hands_on(user.rights, asked.name))
    return [] if was is None else [was.rights, was.about, holders]


def _role_within(tx: Transaction, asked: Any) -> frozenset[str]:
    """Return where the rights of a role end, and where its holders hold it."""
    people = [*tx.lock_users(), *tx.disabled_users()]
    texts = [text for user in people for text in user.rights if hands_on([text], asked.name)]
    return frozenset(text.partition(AT)[2] for text in (*texts, *getattr(asked, "rights", ())))


def _raises_limits(asking: Asking) -> bool:
    return any(detail["raised"] for _, detail in asking.tx.noted)


def _lets_in_without_key(asking: Asking) -> bool:
    was_required = any(detail["was"] for _, detail in asking.tx.noted)
    return was_required and not asking.asked.required


def _weakens_rule(asking: Asking) -> bool:
    return read_rule(asking.tx.setting(FOUR_EYES)).is_weaker_than(asking.rule)


def _collection(tx: Transaction, asked: Any) -> list[object]:
    one = held(tx).get(asked.collection)
    return [] if one is None else [one.revision]


def _moves_reach(asking: Asking) -> bool:
    if not any(getattr(asking.asked, name, ()) for name in _WHO_IS_IN):
        return False
    known, collection = held(asking.tx), asking.asked.collection
    return (
        _unmarks(asking)
        or collection in deciding_tier(known)
        or (holder_within(asking.tx, known, [collection]) is not None)
        or _moves_bound(asking, known, collection)
    )


def _moves_bound(asking: Asking, known: Held, collection: UUID) -> bool:
    """Say whether that decides where others are held back, or what is frozen."""
    definitions = {key: one.definition for key, one in known.items()}
    decided = depending(definitions, [collection])
    frozen = frozen_by(asking.tx.calendar.freezes(), asking.now)
    return decides_who_is_held_back(asking.tx, decided) or not frozen.isdisjoint(decided)


def _takes_from_many(asking: Asking) -> bool:
    """Nobody knows how many new machines there will be, so longer in build is always many."""
    return any(
        BUILD_WAS in detail or detail.get(TAKES_OVER, 0) > asking.rule.machines
        for _, detail in asking.tx.noted
    )


def _agents(tx: Transaction, asked: Any) -> list[object]:
    places = _of_collection(tx, asked)
    return [tx.setting(AGENTS), tx.setting(OF_COLLECTIONS), _made_of(tx, places)]


def _of_collection(tx: Transaction, asked: Any) -> frozenset[str]:
    return frozenset({str(asked.collection)} if hasattr(asked, "collection") else ())


def _lifts(asking: Asking) -> bool:
    return any(LIFTED in detail for _, detail in asking.tx.noted)


def _unmarks(asking: Asking) -> bool:
    """Say whether a collection was of tier 0, and is not any more."""
    return any(detail.get("tier", "").startswith("0") for _, detail in asking.tx.noted)


def _moves_where_rights_end(told: Told) -> bool:
    return any(RIGHTS_END_AT in detail for _, detail in told)


def _describes_many(asking: Asking) -> bool:
    if _moves_where_rights_end(asking.tx.noted):
        return True
    if any(HELD_BACK in detail or FROZEN in detail for _, detail in asking.tx.noted):
        return True
    deeds = Deed.DESCRIBE, Deed.EXPECT
    lately = sum(done_lately(asking.tx, asking.actor, deed, now=asking.now) for deed in deeds)
    return max(lately, asking.changes) > asking.rule.machines


def _one_of_many(asking: Asking) -> bool:
    lately = done_lately(asking.tx, asking.actor, Deed.DISTURB, now=asking.now)
    return lately > asking.rule.machines


_WHO_IS_IN = ("names", "limiting", "query", "include", "exclude", "forget")
"""What is said of a collection that decides who is in it."""
HANDS_ON = FourEyes(seen=_handed, reaches=_handed_within, approver=KEEPING)
MAKES_TOKEN = FourEyes(
    covers=_makes_administrator, seen=_handed, reaches=_handed_within, approver=KEEPING
)
CHANGES_RIGHTS = FourEyes(seen=_person_and_grants, reaches=_handed_within, approver=KEEPING)
VOUCHES = FourEyes(seen=_person_and_who_let_her_in, approver=KEEPING)
LETS_IN = FourEyes(seen=_person, reaches=_held_within, approver=KEEPING)
CHANGES_ROLE = FourEyes(seen=_role, reaches=_role_within, approver=KEEPING)
RAISES_LIMITS = FourEyes(covers=_raises_limits)
LETS_IN_WITHOUT_KEY = FourEyes(covers=_lets_in_without_key)
WEAKENS_RULE = FourEyes(covers=_weakens_rule)
MOVES_REACH = FourEyes(covers=_moves_reach, seen=_collection, approver=KEEPING)
LEAVES_TIER_ZERO = FourEyes(covers=_unmarks, seen=_collection, approver=TIER_ZERO)
DESCRIBES = FourEyes(covers=_describes_many, approver=KEEPING, approver_for=_moves_where_rights_end)
ONE_OF_MANY = FourEyes(covers=_one_of_many)
TAKES_FROM_MANY = FourEyes(covers=_takes_from_many, seen=_agents, reaches=_of_collection)
LIFTS = FourEyes(covers=_lifts)
