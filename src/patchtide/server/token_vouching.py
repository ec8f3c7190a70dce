"""Whoever made an enrolment token answers for what it lets in, for as long as it is out.

What he needed to make it he must have when it is used: who was shut out meanwhile, or lost a right,
lets nobody in any more, and nobody who may do nothing to tier 0 lets one of its machines in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from patchtide.domain.access.grants import allowed
from patchtide.domain.access.rights import MACHINE, TIER_ZERO, Kind, Right, Verb, holds
from patchtide.domain.errors import Unavailable
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.ports.clients import EnrolmentToken

CREATE = Right(Kind.TOKENS, Verb.CREATE)
_READ = Right(Kind.MACHINES, Verb.READ)
_APPROVE = Right(Kind.MACHINES, Verb.APPROVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a machine is, as far as rights are concerned."""

    places: frozenset[str] = frozenset()
    is_tier_zero: bool = False


Places = Callable[[bytes], Awaitable[Place]]


async def nowhere(machine: bytes) -> Place:
    return Place()


def places_in(fleet: Fleet) -> Places:
    """Return what says where a machine is; in no collection if it is none of the fleet's.

    Raises:
        Unavailable: nobody knows whether it is of tier 0.
    """

    def read(view: View, machine: bytes) -> Place:
        number = view.numbers.get(machine)
        if number is None:
            return Place()
        zero = fleet.collections.tier_zero(view)
        if zero is None:
            raise Unavailable("nobody knows which machines are of tier 0")
        inside = map(str, fleet.collections.ground(view).of(number))
        return Place(
            places=frozenset({*inside, f"{MACHINE}{UUID(bytes=machine)}"}),
            is_tier_zero=number in zero,
        )

    def asked(machine: bytes) -> Place:
        fleet.follow_facts()
        return fleet.ask(lambda view: read(view, machine))

    async def place_of(machine: bytes) -> Place:
        return await fleet.run(lambda: asked(machine))

    return place_of


def needed_for_machine(*, approve: bool) -> tuple[Right, ...]:
    """Return what it takes to say that whoever shows a token is the machine it was made for."""
    return (_READ,) if approve else (_READ, _APPROVE)


def vouches(held: frozenset[Right], token: EnrolmentToken, place: Place) -> bool:
    """Say whether somebody with these rights may let in whom the token lets in."""
    if not holds(held, CREATE):
        return False
    if not token.machine:
        return True
    needed = needed_for_machine(approve=token.approve)
    may = all(allowed(held, right, place.places) for right in needed)
    return may and (not place.is_tier_zero or holds(held, TIER_ZERO))
