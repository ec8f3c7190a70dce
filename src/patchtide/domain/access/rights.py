"""Rights: a verb on a kind of object, everywhere or for one place: a collection, a machine, a list.

Roles are nothing but named sets of rights. `administer` on a kind includes every other verb on it,
and what holds everywhere holds in each place; no other right implies another.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from patchtide.domain.errors import InvalidDocument, Problem


class Kind(StrEnum):
    MACHINES = "machines"
    TOKENS = "tokens"
    ACCOUNTS = "accounts"
    AUDIT = "audit"
    CATALOG = "catalog"
    SITE = "site"
    METRICS = "metrics"
    ALERTS = "alerts"
    COLLECTIONS = "collections"
    TIER_ZERO = "tier-zero"


AT = "@"
"""Stands between a right, or a role, and the place that it is limited to."""
MACHINE = "machine:"
"""What a place begins with that is a single machine."""
LIST = "list:"
"""What one begins with that is an update list, by its name; any other is a collection's id."""
_LIST_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class Verb(StrEnum):
    READ = "read"
    CREATE = "create"
    MODIFY = "modify"
    DELETE = "delete"
    DISTRIBUTE = "distribute"
    DEPLOY = "deploy"
    APPROVE = "approve"
    ADMINISTER = "administer"


@dataclass(frozen=True, slots=True, order=True)
class Right:
    kind: Kind
    verb: Verb
    within: str = ""
    """The place that it is limited to; empty: it holds everywhere."""

    def __str__(self) -> str:
        return f"{self.kind}.{self.verb}{AT if self.within else ''}{self.within}"

    @property
    def everywhere(self) -> Right:
        return Right(self.kind, self.verb)

    @property
    def can_be_limited(self) -> bool:
        """Say whether it means anything of some machines alone, or of where it is limited to.

        Who may read the catalog within a collection sees updates as its machines stand on them;
        who may read collections there sees that very one, and who may modify them there sets its
        calendar, and nothing else of it. Who may read the catalog at a list reads
        that list and the updates on it; who may modify it there says what is on it.
        """
        if self.within.startswith(LIST):
            return self.kind is Kind.CATALOG and self.verb in (Verb.READ, Verb.MODIFY)
        if self.kind is Kind.COLLECTIONS:
            can_be = self.verb in (Verb.READ, Verb.MODIFY)
            return can_be and not self.within.startswith(MACHINE)
        return self.kind is Kind.MACHINES or (self.kind, self.verb) == (Kind.CATALOG, Verb.READ)


KEEPING = Right(Kind.ACCOUNTS, Verb.ADMINISTER)
"""Who holds it can hand on everything else he holds."""
READS_UPDATES = Right(Kind.CATALOG, Verb.READ)
TIER_ZERO = Right(Kind.TIER_ZERO, Verb.ADMINISTER)
"""Who holds it may do to machines of tier 0, too, what his other rights let him do."""


def right(text: str) -> Right:
    """Return the right that `kind.verb` names, or `kind.verb@place`.

    Raises:
        ValueError: there is no such right.
    """
    name, at, within = text.partition(AT)
    kind, _, verb = name.partition(".")
    found = Right(Kind(kind), Verb(verb), place(within) if at else "")
    if at and not found.can_be_limited:
        raise ValueError(f"{name} means nothing of some machines alone")
    return found


def is_collection(within: str) -> bool:
    """Say whether that is a collection, and neither everywhere, one machine, nor a list."""
    return bool(within) and not within.startswith((MACHINE, LIST))


def place(text: str) -> str:
    """Return a place in the one form in which places are compared.

    Raises:
        ValueError: it is none.
    """
    if text.startswith(LIST):
        if not _LIST_NAME.fullmatch(text.removeprefix(LIST)):
            raise ValueError(f"not the name of a list: {text!r}")
        return text
    id = text.removeprefix(MACHINE)
    if str(UUID(id)) != id:
        raise ValueError(f"not an id: {id!r}")
    return text


def rights_of(texts: Iterable[str]) -> frozenset[Right]:
    """Return the rights; every unknown one is named.

    Raises:
        InvalidDocument: with each text that names no right.
    """
    known: set[Right] = set()
    problems: list[Problem] = []
    for place, text in enumerate(texts):
        try:
            known.add(right(text))
        except ValueError:
            problems.append(Problem(f"rights[{place}]", f"there is no right {text[:64]!r}"))
    if problems:
        raise InvalidDocument(problems)
    return frozenset(known)


def holds(held: Iterable[Right], wanted: Right) -> bool:
    """Say whether one of the held rights is the wanted one, or administers its kind."""
    places = {wanted.within, ""}
    verbs = (wanted.verb, Verb.ADMINISTER)
    allowed = {Right(wanted.kind, verb, within) for verb in verbs for within in places}
    return not allowed.isdisjoint(held)


def beyond(wanted: Iterable[Right], held: Iterable[Right]) -> tuple[Right, ...]:
    """Return the wanted rights that the holder of `held` lacks, and so cannot hand on."""
    held = frozenset(held)
    return tuple(sorted(w for w in wanted if not holds(held, w)))


def lost_without(leaving: Iterable[Right], staying: Iterable[Iterable[Right]]) -> tuple[Right, ...]:
    """Return the rights that nobody could hand on any more, if that holder left.

    Rights are handed on by who administers accounts, and only those he has himself. So what is
    asked is whether those who can still hold together what the leaving one holds.
    """
    leaving = frozenset(leaving)
    if KEEPING not in leaving:
        return ()
    keepers = [held for one in staying if KEEPING in (held := frozenset(one))]
    return beyond(leaving, frozenset[Right]().union(*keepers))


def role_of(texts: Collection[str]) -> str:
    """Return the ready role that has these very rights; none: empty."""
    held = frozenset(texts)
    return next((name for name, rights in ROLES.items() if set(map(str, rights)) == held), "")


def _role(*texts: str) -> frozenset[Right]:
    return rights_of(texts)


ROLES: Mapping[str, frozenset[Right]] = MappingProxyType(
    {
        "full-administrator": frozenset(Right(kind, Verb.ADMINISTER) for kind in Kind),
        "update-administrator": _role(
            "catalog.administer",
            "machines.read",
            "machines.deploy",
            "site.read",
            "alerts.read",
            "alerts.modify",
            "alerts.delete",
            "alerts.approve",
            "collections.administer",
        ),
        # The limited administrator, who deploys a list by a template: just what that takes.
        "deployer": _role(
            "catalog.read",
            "catalog.distribute",
            "machines.read",
            "machines.deploy",
            "collections.read",
            "site.read",
        ),
        "engineer": _role(
            "catalog.read",
            "catalog.create",
            "catalog.modify",
            "machines.read",
            "alerts.read",
            "alerts.approve",
            "collections.read",
            "collections.create",
            "collections.modify",
        ),
        "machine-owner": _role("machines.read", "catalog.read", "collections.read"),
        "help-desk": _role(
            "machines.read",
            "machines.modify",
            "catalog.read",
            "alerts.read",
            "alerts.approve",
            "collections.read",
        ),
        "auditor": _role(
            "audit.read",
            "machines.read",
            "tokens.read",
            "accounts.read",
            "catalog.read",
            "site.read",
            "alerts.read",
            "collections.read",
        ),
        "metrics": _role("metrics.read"),
    }
)
