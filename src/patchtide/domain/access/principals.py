"""Who asks, and whether they may. A principal comes from a verified credential, never a field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import assert_never

from patchtide.domain.access.grants import Scope, bounds, listed, visible
from patchtide.domain.access.rights import READS_UPDATES, Kind, Right, Verb, holds
from patchtide.domain.access.second_factor import Owed, SecondFactorNeeded
from patchtide.domain.errors import NotFound, Refused, Unauthenticated


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody we know."""

    @property
    def actor(self) -> str:
        return "anonymous"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHolder:
    """Whoever holds an API token that is valid now."""

    token_id: str
    name: str
    rights: frozenset[Right]
    expires_at: datetime | None

    @property
    def actor(self) -> str:
        return f"api-token:{self.token_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHolder:
    """A person who signed in with a password and has not been idle for too long.

    As long as she owes a second factor she holds no right at all.
    """

    user_id: str
    name: str
    rights: frozenset[Right]
    session: bytes = field(default=b"", repr=False, compare=False)
    """The SHA-256 of the secret of the browser in which she asks; none: it is only beginning."""
    proved_at: datetime = field(default=datetime.min.replace(tzinfo=UTC), compare=False)
    """When she last proved, in that browser, who she is."""
    has_key: bool = field(default=False, compare=False)
    is_privileged: bool = field(default=False, compare=False)
    """She administers something, or would if she owed nothing."""
    owes: Owed = Owed.NOTHING

    @property
    def actor(self) -> str:
        return f"user:{self.user_id}"


SignedIn = TokenHolder | SessionHolder
Principal = Anonymous | SignedIn


class Gate(StrEnum):
    """What admits a request where no right does."""

    PUBLIC = "public"
    PUBLIC_VERIFIED = "public, signed or named by hash"
    SIGNED_IN = "signed in"
    FIRST_FACTOR = "signed in, a security key may still be owed"
    ONE_TIME_CODE = "one-time code"
    PASSWORD = "password"  # noqa: S105 - the name of a gate, no secret
    ONE_TIME_LINK = "one-time link"
    ENROLMENT_TOKEN = "enrolment token"  # noqa: S105 - the name of a gate, no secret
    AGENT_KEY = "agent key"


Policy = Gate | Right


def check(
    principal: Principal,
    policy: Policy,
    *,
    narrows: bool = False,
    narrows_updates: bool = False,
    at: str = "",
) -> None:
    """Let the request pass, or raise why not. `narrows`: the answer can be kept to some machines.

    `narrows_updates`: and to what is on some lists. `at`: the one object that it is about, where
    rights may end at that.

    | the principal                    | a right is asked   | signed in is asked |
    | -------------------------------- | ------------------ | ------------------ |
    | is nobody we know                | Unauthenticated    | Unauthenticated    |
    | owes a second factor             | SecondFactorNeeded | SecondFactorNeeded |
    | may not even read that kind      | NotFound           | passes             |
    | may read it, but lacks the right | Refused            | passes             |
    | holds it within collections      | if it narrows      | passes             |
    | may read the catalog at lists    | if updates narrow  | passes             |
    | holds it for the object          | passes             | passes             |
    | holds the right                  | passes             | passes             |

    The other gates look at another credential, which whoever stands behind them checks.
    """
    match policy:
        case Right():
            held = _signed_in(principal).rights
            is_listed = narrows_updates and policy == READS_UPDATES and listed(held, policy)
            if not is_listed and not holds_at(held, policy, at):
                _check_right(principal, policy, narrows=narrows)
        case Gate.SIGNED_IN:
            _signed_in(principal)
        case Gate.FIRST_FACTOR:
            somebody(principal)
        case (
            Gate.PUBLIC
            | Gate.PUBLIC_VERIFIED
            | Gate.ONE_TIME_CODE
            | Gate.PASSWORD
            | Gate.ONE_TIME_LINK
            | Gate.ENROLMENT_TOKEN
            | Gate.AGENT_KEY
        ):
            return
        case _:
            assert_never(policy)


def somebody(principal: Principal) -> SignedIn:
    """Raises Unauthenticated."""
    if isinstance(principal, Anonymous):
        raise Unauthenticated
    return principal


def _signed_in(principal: Principal) -> SignedIn:
    holder = somebody(principal)
    if isinstance(holder, SessionHolder) and holder.owes is not Owed.NOTHING:
        raise SecondFactorNeeded
    return holder


def _check_right(principal: Principal, wanted: Right, *, narrows: bool) -> None:
    held = _signed_in(principal).rights
    scope = visible(held, wanted)
    if scope.is_everything or (narrows and not scope.is_nothing):
        return
    if not scope.is_nothing:
        raise Refused(f"this speaks of all machines, and you have {wanted} for some collections")
    if wanted == READS_UPDATES and listed(held, wanted):
        raise Refused(f"this speaks of all updates, and you have {wanted} for some lists")
    if not may_read(held, wanted.kind) and not listed(held, Right(wanted.kind, Verb.READ)):
        # The same answer as for a thing that does not exist: refusals are no map of the site.
        raise NotFound
    raise Refused(f"this needs the right {wanted}")


def holds_at(held: Iterable[Right], wanted: Right, at: str) -> bool:
    """Say whether he has that right for the object, wherever else he lacks it."""
    return bool(at) and holds(held, Right(wanted.kind, wanted.verb, at))


def scopes_of(
    principal: Principal,
    needed: Iterable[Policy],
    *,
    narrows_updates: bool = False,
    at: str = "",
) -> frozenset[Scope]:
    """Return what an answer to somebody who passed is kept within; nothing: he may see all.

    `narrows_updates`: of updates, too. Whoever reads single lists sees nothing else by asking for
    something that needs another right.
    """
    if isinstance(principal, Anonymous):
        return frozenset()
    held = principal.rights
    lists = listed(held, READS_UPDATES) if narrows_updates else frozenset()
    rights = [one for one in needed if isinstance(one, Right) and not holds_at(held, one, at)]
    if lists:
        rights = [one for one in rights if one != READS_UPDATES]
    found = bounds(held, rights, Right(Kind.MACHINES, Verb.READ))
    return found | {Scope(lists=lists)} if lists else found


def may_read_updates(held: Iterable[Right]) -> bool:
    """Say whether there is any update that may be read, if only those on a list."""
    held = frozenset(held)
    return may_read(held, Kind.CATALOG) or bool(listed(held, READS_UPDATES))


def may_read(held: Iterable[Right], kind: Kind) -> bool:
    """Say whether there is anything of that kind that may be read, everywhere or not."""
    return not visible(held, Right(kind, Verb.READ)).is_nothing
