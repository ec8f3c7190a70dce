"""Grants: a role or a right, everywhere or for one place, and what they come to together.

A role is looked up whenever somebody asks, so whoever changes it changes what all its holders may.
Everything that shows machines asks `visible` once, and what does one thing to one asks `allowed`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from patchtide.domain.access.rights import (
    AT,
    LIST,
    ROLES,
    TIER_ZERO,
    Right,
    Verb,
    beyond,
    holds,
    place,
    right,
    rights_of,
)
from patchtide.domain.errors import InvalidDocument, Problem

ROLE = "role:"
"""What a grant begins with that hands on a role."""


_ONCE_EVERYTHING = rights_of(
    f"{kind}.administer"
    for kind in ["machines", "tokens", "accounts", "audit", "catalog", "site", "metrics", "alerts"]
)
"""Full administrators were handed these, one by one, when there was nothing else: what came since
is theirs too, or nobody could hand it on."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where something may be done: everywhere, with the machines of these places, or with what is
    on these lists."""

    places: frozenset[str] | None = None
    lists: frozenset[str] | None = None

    @property
    def is_everything(self) -> bool:
        return self.places is None and self.lists is None

    @property
    def is_nothing(self) -> bool:
        return self.places == frozenset()


EVERYTHING = Scope()


def visible(held: Iterable[Right], wanted: Right) -> Scope:
    """Return where somebody with these rights may do that."""
    held = frozenset(held)
    if holds(held, wanted):
        return EVERYTHING
    places = {one.within for one in held if one.within and not one.within.startswith(LIST)}
    where = (Right(wanted.kind, wanted.verb, within) for within in places)
    return Scope(frozenset(one.within for one in where if holds(held, one)))


def listed(held: Iterable[Right], wanted: Right) -> frozenset[str]:
    """Return the lists at which somebody may do that who may do it nowhere else.

    Who may read the catalog as some machines stand on it reads every list: rights at single ones
    add nothing to that.
    """
    held = frozenset(held)
    if not visible(held, wanted).is_nothing:
        return frozenset()
    here = (one for one in held if one.within.startswith(LIST))
    return frozenset(
        one.within.removeprefix(LIST)
        for one in here
        if holds(held, Right(wanted.kind, wanted.verb, one.within))
    )


def allowed(held: Iterable[Right], wanted: Right, places: Collection[str]) -> bool:
    """Say whether it may be done to a machine that is in these places."""
    scope = visible(held, wanted)
    return scope.places is None or not scope.places.isdisjoint(places)


def bounds(held: Iterable[Right], needed: Iterable[Right], sight: Right) -> frozenset[Scope]:
    """Return what keeps an answer within: a machine counts only if it is in all of these scopes.

    `sight` is the right to see machines. Whoever may see some of them sees no others by asking
    for something else, such as how many need an update.
    """
    held = frozenset(held)
    seen = visible(held, sight)
    scopes = {visible(held, one) for one in needed}
    if not seen.is_nothing:
        scopes.add(seen)
    return frozenset(scope for scope in scopes if not scope.is_everything)


def come_to(texts: Iterable[str], roles: Mapping[str, Collection[str]]) -> frozenset[Right]:
    """Return the rights that these grants give; `roles`: those that the site has made.

    What this version has no word for allows nothing.
    """
    one_by_one, found = set[Right](), set[Right]()
    for text in texts:
        if text.startswith(ROLE):
            name, _, within = text.removeprefix(ROLE).partition(AT)
            found |= limited(rights_of_role(name, roles), within)
        else:
            one_by_one |= _known(text)
    found |= one_by_one
    if found >= _ONCE_EVERYTHING:
        # A role that a site makes may well be everything but tier 0.
        lacks = set[Right]() if one_by_one >= _ONCE_EVERYTHING else {TIER_ZERO}
        found |= ROLES["full-administrator"] - lacks
    return frozenset(found)


def left_out(texts: Iterable[str], roles: Mapping[str, Collection[str]]) -> frozenset[Right]:
    """Return what of roles means nothing where they were handed on, and is held nowhere else."""
    texts = tuple(texts)
    wanted: set[Right] = set()
    for text in texts:
        name, _, within = text.partition(AT)
        if within and name.startswith(ROLE):
            rights = rights_of_role(name.removeprefix(ROLE), roles)
            wanted |= {Right(one.kind, one.verb, within) for one in rights if not one.within}
    return frozenset(beyond((r for r in wanted if not r.can_be_limited), come_to(texts, roles)))


def rights_of_role(name: str, roles: Mapping[str, Collection[str]]) -> frozenset[Right]:
    ready = ROLES.get(name)
    if ready is not None:
        return ready
    return frozenset[Right]().union(*map(_known, roles.get(name, ())))


def limited(rights: Iterable[Right], within: str) -> frozenset[Right]:
    """Return the rights for one place; those that mean nothing there are left out."""
    if not within:
        return frozenset(rights)
    return frozenset(r for one in rights for r in _parts(one, within))


def _parts(one: Right, within: str) -> Iterable[Right]:
    if one.within:
        return ()
    # Administering a kind of which only some can be limited includes that.
    verbs = {one.verb, Verb.READ, Verb.MODIFY} if one.verb is Verb.ADMINISTER else {one.verb}
    found = (Right(one.kind, verb, within) for verb in verbs)
    return [r for r in found if r.can_be_limited]


def _known(text: str) -> frozenset[Right]:
    try:
        return frozenset({right(text)})
    except ValueError:
        return frozenset()


def grants_of(
    texts: Iterable[str], *, role: str, within: str, roles: Collection[str]
) -> tuple[str, ...]:
    """Return what somebody is to be handed, each once and in order; every mistake is named.

    Raises:
        InvalidDocument: nothing at all, or what does not exist.
    """
    problems: list[Problem] = []
    found: set[str] = set()
    if role:
        found.add(_placed(ROLE + role, within))
    found |= {text if AT in text else _placed(text, within) for text in texts}
    if not found:
        problems.append(Problem("role", "name a role, or at least one right"))
    for text in sorted(found):
        if what := _mistake(text, roles):
            problems.append(Problem("rights", what))
    if problems:
        raise InvalidDocument(problems)
    return tuple(sorted(found))


def _placed(text: str, within: str) -> str:
    return f"{text}{AT}{within}" if within else text


def _mistake(text: str, roles: Collection[str]) -> str:
    """Return why this is no grant; empty: it is one."""
    name, at, within = text.partition(AT)
    try:
        if at:
            place(within)
        if not name.startswith(ROLE):
            right(text)
        elif name.removeprefix(ROLE) not in ROLES and name.removeprefix(ROLE) not in roles:
            return f"there is no role {name.removeprefix(ROLE)[:64]!r}"
    except ValueError:
        return f"there is no right {text[:96]!r}"
    return ""


def role_held(texts: Collection[str]) -> str:
    """Return the one role that is all somebody was handed, everywhere; otherwise nothing."""
    if len(texts) != 1:
        return ""
    [text] = texts
    name = text.removeprefix(ROLE)
    return name if name != text and AT not in name else ""
