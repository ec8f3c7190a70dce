"""What an operation is, and the table that holds them: one declaration per use case.

Name, route, policy, input and output types, sentence and audit are declared once; API routes,
policy table, OpenAPI, command line, audit names and reference page are derived from it.
`perform` is the only way from an edge to a use case, and the only place where rights are checked.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, BinaryIO
from uuid import UUID

from msgspec import Struct

from patchtide.domain.access.limits import Deed
from patchtide.domain.access.principals import Policy, Principal, check, scopes_of
from patchtide.domain.access.proofs import check_proof
from patchtide.domain.access.rights import LIST, Right, Verb
from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.server.context import Call, Context, nothing
from patchtide.server.fleet import Fleet
from patchtide.server.four_eyes import FourEyes, Told, Watched, needs_of
from patchtide.server.tier_zero import EVERY_MACHINE, Targets, check_targets

API = "/api/v1"


SECRET = {"format": "password"}
"""Marks a field of an input that is shown nowhere: a terminal asks for it without an echo."""


class Plane(StrEnum):
    ADMINISTRATORS = "administrators"
    AGENTS = "agents"
    PUBLIC = "public"
    CONSOLE = "console"
    """Pages and forms for people with a browser, over the same use cases."""

    @property
    def is_interface(self) -> bool:
        """Say whether programs ask here: in JSON, described, with a command."""
        return self in (Plane.ADMINISTRATORS, Plane.PUBLIC)


class Input(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What an operation is asked with. A misspelt field is a mistake, never ignored."""


class Output(Struct, kw_only=True, frozen=True):
    """What an operation answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """An answer that is a file, read part by part; whoever sends it closes it."""

    name: str
    media_type: str
    body: BinaryIO


class Nothing(Input, kw_only=True, frozen=True):
    """No input at all."""


Handler = Callable[[Call, Principal, Any], Awaitable[Any]]

_NAME = re.compile(r"[a-z][a-z-]*(\.[a-z][a-z-]*)?")
_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
JSON = "application/json"
SAFE_METHODS = frozenset({"GET"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One use case. Without a handler it is served by an adapter that knows its name."""

    name: str
    plane: Plane
    method: str
    path: str
    policy: Policy
    sentence: str
    input: type[Struct] = Nothing
    output: type[Struct] | None = None
    handler: Handler | None = None
    status: int = 200
    audited: bool = False
    """It decides something: then it leaves exactly one audit entry, under its name."""
    is_question: bool = False
    """It changes nothing, although it is no GET: what it asks may be too long for an address."""
    part_of: str = ""
    """The operation that decides over what this one only brings, and that is audited for both."""
    also: tuple[Right, ...] = ()
    """Rights that are needed too, because the answer tells of other kinds of objects."""
    columns: tuple[str, ...] = ()
    """Which fields of a list a table on a terminal shows, in order; none: all of them."""
    watch: str = ""
    """The list whose item of the same number tells how far this one is; empty: it is done."""
    takes_file: bool = False
    """Its body is a file, and its other input stands in the address. By itself it decides nothing:
    a file means nothing until something names it."""
    narrows: bool = False
    """Whoever has the rights for some collections only is answered for their machines; without
    this he is refused."""
    narrows_updates: bool = False
    """Whoever may read the catalog at some lists only is answered for what is on them; without
    this he is refused."""
    of_list: bool = False
    """It says what is on the update list of its name: a right may end at that one."""
    targets_all: bool = False
    """What it says holds for every machine."""
    deed: Deed | None = None
    """What counts against the limits per hour, once for each entry that it leaves in the audit;
    none: nothing of it."""
    fresh: bool = False
    """A person must have proved within five minutes who she is; programs need not."""
    only_people: bool = False
    """That too, and no program may do it: with a token nobody proves anything anew."""
    four_eyes: FourEyes | None = None
    """Where a site asks for it, one person alone cannot have this done."""
    largest_body: int = 1 << 20
    """So many bytes what it is asked with may have, where that is JSON."""
    largest_file: int = 0
    """So many bytes a file may have that a form of the console brings."""
    media_types: tuple[str, ...] = (JSON,)
    """Of its answer; where it is another one, the use case answers with the bytes, or, when there
    are several, with a file that says which."""
    step_of: str = ""
    """The command that goes through this and other operations; it has none of its own then."""
    example: str = ""
    """How it is called on the command line, after `patchtide`; empty: only its name."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"not a name of an operation: {self.name!r}")
        if not self.sentence.endswith("."):
            raise ValueError(f"{self.name}: its sentence ends in a full stop")
        unknown = set(self.parameters) - set(self.input.__struct_fields__)
        if self.handler is not None and unknown:
            raise ValueError(f"{self.name}: the input lacks {sorted(unknown)}")
        decides_nothing = self.is_question or bool(self.part_of) or self.asks_in_address
        if self.handler is not None and self.audited is decides_nothing:
            raise ValueError(f"{self.name}: what changes something is audited, a question is not")
        if self.needs_proof and decides_nothing:
            raise ValueError(f"{self.name}: a proof is asked for where something is decided")

    @property
    def asks_in_address(self) -> bool:
        """Say whether all its input stands in the address."""
        return self.takes_file or self.method in SAFE_METHODS

    @property
    def needs_proof(self) -> bool:
        return self.fresh or self.only_people

    @property
    def needs(self) -> tuple[Policy, ...]:
        return (self.policy, *self.also)

    def watched(self, asked: Struct, *, proposal: str = "") -> Watched | None:
        """Return what others have to agree to, where that may be."""
        if self.four_eyes is None:
            return None
        return Watched(
            operation=self.name,
            asked=asked,
            four_eyes=self.four_eyes,
            needs=self.rights_needed,
            proposal=proposal,
        )

    def place(self, name: str) -> str:
        """Return the one object that it is about, where a right may end at that."""
        return f"{LIST}{name}" if self.of_list else ""

    def targets(self, asked: Struct) -> Targets:
        """Return the machines and collections that it would do something to, as far as its input
        names them; what only needs reading does nothing to any."""
        rights = (need for need in self.needs if isinstance(need, Right))
        if not self.audited or all(need.verb is Verb.READ for need in rights):
            return Targets()
        if self.targets_all:
            return EVERY_MACHINE
        collections = [asked.collection or ALL_MACHINES] if hasattr(asked, "collection") else []
        return Targets(machines=named_machines(asked), collections=collections)

    @property
    def rights_needed(self) -> tuple[Right, ...]:
        return tuple(need for need in self.needs if isinstance(need, Right))

    def approver_needs(self, told: Told) -> tuple[Right, ...]:
        """Return what others must hold to agree to what it would note."""
        return needs_of(self.rights_needed, self.four_eyes, told)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in the path, in order."""
        return tuple(_PARAMETER.findall(self.path))

    @property
    def group(self) -> str:
        return self.name.partition(".")[0] if "." in self.name else ""

    @property
    def verb(self) -> str:
        return self.name.rpartition(".")[2]


class Table:
    """All operations, by name; two of one name, or of one route, stop the start."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._by_name: dict[str, Operation] = {}
        routes: dict[tuple[str, str], str] = {}
        for operation in operations:
            if operation.name in self._by_name:
                raise ValueError(f"{operation.name} is declared twice")
            route = (operation.method, _PARAMETER.sub("{}", operation.path))
            if route in routes:
                raise ValueError(f"{operation.name} has the route of {routes[route]}")
            routes[route] = operation.name
            self._by_name[operation.name] = operation

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __getitem__(self, name: str) -> Operation:
        return self._by_name[name]

    def paths(self) -> dict[str, dict[str, Operation]]:
        """Return path -> method -> operation."""
        found: dict[str, dict[str, Operation]] = {}
        for operation in self:
            found.setdefault(operation.path, {})[operation.method] = operation
        return found


def named_machines(asked: Struct) -> Sequence[UUID]:
    named = getattr(asked, "machine", None), *getattr(asked, "machines", ())
    return [one for one in named if isinstance(one, UUID)]


async def check_within(fleet: Fleet, asked: Struct) -> None:
    """Let nothing be asked of machines that are outside.

    Raises:
        NotFound: one of them is not there, for him.
    """
    if machines := named_machines(asked):
        await fleet.run(lambda: fleet.ask(lambda view: [view.member(one) for one in machines]))


async def perform(
    context: Context,
    operation: Operation,
    *,
    principal: Principal,
    asked: Struct,
    body: AsyncIterator[bytes] | None = None,
    proposal: str = "",
) -> Any:
    """Check the policy, then do it. The answer is the operation's output, or None.

    `proposal`: what others agreed to, which this enacts.

    Raises:
        Unauthenticated, Refused, NotFound: the policy says no (domain.access.principals).
        SignInAgain: the person must prove anew who she is (domain.access.proofs).
        Proposed: others have to agree first; that it waits for them is written down.
    """
    at = operation.place(getattr(asked, "name", ""))
    for policy in operation.needs:
        check(
            principal,
            policy,
            narrows=operation.narrows,
            narrows_updates=operation.narrows_updates,
            at=at,
        )
    if operation.needs_proof:
        check_proof(principal, now=context.clock.now(), only_people=operation.only_people)
    if operation.handler is None:
        raise LookupError(f"{operation.name} is no use case")
    by_lists = operation.narrows_updates or operation.of_list
    if scopes := scopes_of(principal, operation.needs, narrows_updates=by_lists, at=at):
        context = context.within(scopes)
        await check_within(context.fleet, asked)
    await check_targets(context.fleet, principal, operation.targets(asked))
    call = Call(
        context=context,
        operation=operation.name,
        audited=operation.audited,
        body=nothing() if body is None else body,
        deed=operation.deed,
        watched=operation.watched(asked, proposal=proposal),
    )
    return await operation.handler(call, principal, asked)
