"""S17: every operation, tried by whoever has just what it needs, and by whoever lacks one of that.

The cases derive from the operation table: for each right that an operation needs, every way to
hold it, everywhere, as administrator of its kind, for each kind of place, elsewhere or not at all;
and of two rights each way with each. Whoever holds one for another place is told nothing of the
machine, whatever he asks.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import Enum
from itertools import product

import msgspec

from patchtide.domain.access.rights import LIST, MACHINE, Right, Verb
from patchtide.server.subscription_book import (
    SUBSCRIPTIONS,
    pack_subscriptions,
    read_subscriptions,
)
from patchtide.server.table import SAFE_METHODS, Operation
from tests.integration.http.plane import AdministratorsPlane
from tests.integration.http.test_policy import (
    A_SUBSCRIPTION,
    BY_TOKEN,
    OF_MACHINES,
    SETTINGS,
    Prepared,
    prepared,
)


class Way(Enum):
    """How somebody holds a right."""

    EVERYWHERE = "everywhere"
    ADMINISTERS = "administers its kind"
    COLLECTION = "for a collection that the machine is in"
    ITSELF = "for the machine itself"
    OTHER_COLLECTION = "for a collection that it is not in"
    OTHER_MACHINE = "for another machine"
    LIST = "for the update list that is named x"
    OTHER_LIST = "for another list"
    NOT = "not at all"


HERE = {Way.COLLECTION, Way.ITSELF}
ELSEWHERE = {Way.OTHER_COLLECTION, Way.OTHER_MACHINE}
AT_LIST = {Way.LIST, Way.OTHER_LIST}
WHOLE = {Way.EVERYWHERE, Way.ADMINISTERS}
HANDED_ON: Mapping[str, Mapping[str, object]] = {
    "api-tokens.create": {"name": "n", "rights": ["accounts.create"]},
    "users.create": {"name": "maria", "rights": ["accounts.create"]},
    "users.role": {"rights": ["accounts.modify"]},
    "roles.define": {"rights": ["accounts.administer"]},
}
"""Nobody hands on what he lacks: what is handed on here is what the operation itself needs."""
OF_ALL = {
    "windows.change", "windows.delete", "freezes.change", "freezes.delete",
    "hours.set", "hours.clear",
}  # fmt: skip
"""What is asked here of the calendar of all machines, which is nobody's whose rights end."""
Case = tuple[Way, ...]


def needs_of(operation: Operation) -> list[Right]:
    return [need for need in operation.needs if isinstance(need, Right)]


def cases(operation: Operation) -> Iterator[Case]:
    needs = needs_of(operation)
    yield from product(*([way for way in Way if can_be(need, way)] for need in needs))


def can_be(need: Right, way: Way) -> bool:
    if way is Way.ADMINISTERS:
        return need.verb is not Verb.ADMINISTER
    if way in AT_LIST:
        return replace(need, within=LIST).can_be_limited
    if way in (Way.ITSELF, Way.OTHER_MACHINE):
        return replace(need, within=MACHINE).can_be_limited
    return way in WHOLE or way is Way.NOT or need.can_be_limited


def expected(operation: Operation, case: Case) -> int:
    """Return the status, as the reference says it: 404 is for what is none of one's business."""
    ways = [
        (need, at_list(operation, need, way))
        for need, way in zip(needs_of(operation), case, strict=True)
    ]
    for need, way in ways:
        if way in AT_LIST and (need.verb is not Verb.READ or not operation.narrows_updates):
            return 403
        if way in HERE | ELSEWHERE and not operation.narrows:
            return 403
        if way is Way.NOT:
            reads = any(
                other.kind is need.kind
                and held is not Way.NOT
                and (held is Way.ADMINISTERS or other.verb in (Verb.READ, Verb.ADMINISTER))
                for other, held in ways
            )
            return 403 if reads else 404
    if operation.name in OF_ALL and not (HERE | ELSEWHERE).isdisjoint(case):
        return 404
    if names_machine(operation) and not ELSEWHERE.isdisjoint(case):
        return 404
    if Way.OTHER_LIST in case and speaks_of_list(operation):
        return 404
    # Whose rights end at a machine, or at another collection, for him there is no collection.
    if names_collection(operation) and not (ELSEWHERE | {Way.ITSELF}).isdisjoint(case):
        return 404
    return operation.status


def at_list(operation: Operation, need: Right, way: Way) -> Way:
    """Return what a right for a list comes to: to say what is on it is held there and nowhere."""
    if way not in AT_LIST or need.verb is Verb.READ:
        return way
    return Way.EVERYWHERE if operation.of_list and way is Way.LIST else Way.NOT


def speaks_of_list(operation: Operation) -> bool:
    """Say whether it is about that list, or about the update, which is on it and no other."""
    is_named = operation.group == "lists" and "{name}" in operation.path
    return is_named or "{update}" in operation.path or operation.name == "history.show"


def names_collection(operation: Operation) -> bool:
    return "{collection}" in operation.path and operation.narrows


def names_machine(operation: Operation) -> bool:
    return not {"machine", "machines"}.isdisjoint(operation.input.__struct_fields__) and (
        "{machine}" in operation.path or operation.name in OF_MACHINES
    )


def is_repeatable(operation: Operation) -> bool:
    """Say whether on one plane it can be done again and again, by one after the other."""
    # A subscription is put there anew for each.
    return operation.method in {*SAFE_METHODS, "PUT"} or operation.group == "subscriptions"


class Tried:
    """A plane on which one operation can be asked for, with a place of each kind."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.plane = AdministratorsPlane()
        self.places: dict[Way, str] = {}
        self.made: Prepared | None = None

    async def begin(self) -> None:
        plane = self.plane
        plane.context.fleet.follow_facts()
        self.made = await prepared(plane, self.operation, role="")
        other = await plane.machine("db-1")
        administrator = await plane.token(role="full-administrator")
        for way, machine in ((Way.COLLECTION, self.made.machine), (Way.OTHER_COLLECTION, other)):
            document = {"name": f"of {way.value}", "names": [str(machine)]}
            made = await plane.ask(
                "POST", "/api/v1/collections", token=administrator, document=document
            )
            self.places[way] = made.json["id"]
        if names_collection(self.operation):
            here = f"/collections/{self.places[Way.COLLECTION]}"
            path = re.sub(r"/collections/[^/]+", here, self.made.path)
            self.made = replace(self.made, path=path)
        self.places |= {Way.LIST: f"{LIST}x", Way.OTHER_LIST: f"{LIST}y"}
        self.places[Way.ITSELF] = f"{MACHINE}{self.made.machine}"
        self.places[Way.OTHER_MACHINE] = f"{MACHINE}{other}"

    async def ask(self, case: Case) -> int:
        """Return the status; -1: it tells of the machine although that is elsewhere."""
        # What is somebody's own is the first token's.
        token = (
            "" if self.made or (HERE | ELSEWHERE | AT_LIST) & {*case} else await self._token(case)
        )
        if self.made is None:
            await self.begin()
        assert self.made is not None
        token = token or await self._token(case)
        if self.operation.group == "subscriptions":
            await self._give_to_last_token()
        answer = await self.plane.ask(
            self.made.method,
            self.made.path,
            token=token,
            document=HANDED_ON.get(self.operation.name, self.made.document),
        )
        # A refusal says again what was asked for.
        marks = ["web-1", str(self.made.machine)] if answer.status < 300 else ["web-1"]
        if not ELSEWHERE.isdisjoint(case) and any(mark.encode() in answer.body for mark in marks):
            return -1
        return answer.status

    async def _give_to_last_token(self) -> None:
        storage = self.plane.storage
        owner = f"api-token:{storage.api_tokens()[-1].id}"
        is_there = SETTINGS.get(self.operation.name) == A_SUBSCRIPTION
        known = read_subscriptions(A_SUBSCRIPTION[1] if is_there else None).values()
        his = pack_subscriptions(msgspec.structs.replace(one, owner=owner) for one in known)
        await storage.decide(
            "system", "x", lambda tx: tx.put_setting(SUBSCRIPTIONS, his), now=self.plane.clock.now()
        )

    async def _token(self, case: Case) -> str:
        needs = needs_of(self.operation)
        rights = [self._held(need, way) for need, way in zip(needs, case, strict=True)]
        return await self.plane.token(rights=frozenset(one for one in rights if one))

    def _held(self, need: Right, way: Way) -> Right | None:
        if way is Way.NOT:
            return None
        verb = Verb.ADMINISTER if way is Way.ADMINISTERS else need.verb
        return Right(need.kind, verb, self.places.get(way, ""))


def test_every_operation_answers_as_the_rights_say() -> None:
    found = asyncio.run(_answers(BY_TOKEN))

    assert not found, "\n".join(f"{name}: {got}" for name, got in found.items())


async def _answers(operations: list[Operation]) -> dict[str, tuple[int, int]]:
    """Return what is answered otherwise than expected."""
    found: dict[str, tuple[int, int]] = {}
    for operation in operations:
        tried = Tried(operation)
        # Who is refused changes nothing, so those come first and on one plane.
        for case in sorted(cases(operation), key=lambda one: expected(operation, one) < 300):
            wanted = expected(operation, case)
            if wanted < 300 and not is_repeatable(operation):
                tried = Tried(operation)
            answer = await tried.ask(case)
            if answer != wanted:
                name = f"{operation.name}: {', '.join(way.value for way in case)}"
                found[name] = (answer, wanted)
    return found
