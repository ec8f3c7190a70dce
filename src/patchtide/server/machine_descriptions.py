"""What people say of machines, of one or of many at once; and who said what, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.catalog.risk import Exposure
from patchtide.domain.compliance.described import (
    HIGHEST,
    SCORES,
    UNDESCRIBED,
    Described,
    RestartCode,
)
from patchtide.domain.errors import InvalidDocument, NotFound, Problem, WrongState
from patchtide.server.calendar_book import frozen_by
from patchtide.server.calendar_reach import check_may_thaw
from patchtide.server.context import Call
from patchtide.server.described_reach import (
    Redescribed,
    check_held_back,
    check_who_describes,
    moves_any,
)
from patchtide.server.machine_attributes import (
    ATTRIBUTES,
    LABELS,
    LONGEST,
    Change,
    changes,
    saying,
)
from patchtide.server.machines import MachineId
from patchtide.server.patterns import LABEL, LINE
from patchtide.server.ports.audit import AuditEntry
from patchtide.server.ports.clients import Client, ClientState
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input, Output

MOST = 500
"""So many machines at once: each leaves an entry, and a transaction writes a thousand rows."""
WAS = "_was"
"""In an entry, what was said of an attribute before."""
RIGHTS_END_AT = "rights_end_at"
"""In an entry, a collection where rights end that it may move the machine into, or out of: those
of people within it, or of all who may do nothing to tier 0."""
HELD_BACK = "held_back"
"""In an entry, that by it others that install updates there may be held back, or no more."""
FROZEN = "frozen"
"""In an entry, that by it machines may come to go by a freeze of a collection, or no more."""
SAYING = ("machines.describe", "machines.import")
"""Operations by which attributes change."""
Line = Annotated[str, Meta(max_length=LONGEST, pattern=LINE)]
Label = Annotated[str, Meta(pattern=LABEL)]
Score = Annotated[int, Meta(ge=0, le=HIGHEST)] | None
ExposureName = Literal["", "perimeter", "critical", "server", "ordinary", "laptop", "isolated"]
RestartName = Literal["", "automatic", "none", "interactive", "script"]
Said = Literal[
    "owner", "roles", "exposure", "location", "cluster", "management_group", "tags", "business",
    "downtime", "redundancy", "testing", "complexity", "distance", "schedule", "restart",
]  # fmt: skip
_LINES = ("owner", "location", "cluster", "management_group")


class DescribeMachines(Input, kw_only=True, frozen=True):
    """What is not said stays as it was of each."""

    machines: Annotated[
        tuple[UUID, ...], Meta(min_length=1, max_length=MOST, description="The machines' ids.")
    ]
    owner: Annotated[Line, Meta(description="Whose they are: a person or a team.")] = ""
    role: Annotated[
        tuple[Label, ...],
        Meta(max_length=LABELS, description="What they are for, in place of the roles of before."),
    ] = ()
    exposure: Annotated[
        ExposureName, Meta(description="Where they stand, which counts for their risk classes.")
    ] = ""
    location: Annotated[Line, Meta(description="Where they are: a site, a building, a room.")] = ""
    cluster: Annotated[
        Line, Meta(description="The cluster or load-balancing group that they are members of.")
    ] = ""
    management_group: Annotated[
        Line, Meta(description="By whom they are managed, for summaries.")
    ] = ""
    tag: Annotated[
        tuple[Label, ...],
        Meta(max_length=LABELS, description="Their tags, in place of those of before."),
    ] = ()
    add_tag: Annotated[
        tuple[Label, ...], Meta(max_length=LABELS, description="Tags besides those of before.")
    ] = ()
    remove_tag: Annotated[
        tuple[Label, ...], Meta(max_length=LABELS, description="Tags that they lose.")
    ] = ()
    business: Annotated[
        Score, Meta(description="How much the business needs them, from 0 to 5.")
    ] = None
    downtime: Annotated[Score, Meta(description="What their downtime costs, from 0 to 5.")] = None
    redundancy: Annotated[
        Score, Meta(description="How little stands in for them, from 0 to 5: nothing.")
    ] = None
    testing: Annotated[
        Score, Meta(description="How much testing a change needs there, from 0 to 5.")
    ] = None
    complexity: Annotated[
        Score, Meta(description="How complex they are to change, from 0 to 5.")
    ] = None
    distance: Annotated[
        Score, Meta(description="How far they are from whoever could help, from 0 to 5.")
    ] = None
    schedule: Annotated[
        UUID | None, Meta(description="The collection in whose windows they may be changed.")
    ] = None
    restart: Annotated[RestartName, Meta(description="How they may be restarted.")] = ""
    forget: Annotated[
        tuple[Said, ...], Meta(max_length=15, description="What to take back of what was said.")
    ] = ()
    dry_run: Annotated[bool, Meta(description="Only tell what would change.")] = False


class ChangedMachine(Output, kw_only=True, frozen=True):
    machine: UUID
    name: str
    attribute: str
    was: str
    """Empty: nobody had said anything."""
    now: str


class DescribedMachines(Output, kw_only=True, frozen=True):
    machines: int
    """Of how many it is said now."""
    changed: int
    """Of how many something else was said before."""
    changes: tuple[ChangedMachine, ...]


class ListChanges(Input, kw_only=True, frozen=True):
    machine: MachineId
    limit: Annotated[int, Meta(ge=1, le=100, description="How many decisions back.")] = 50


class AttributeChange(Output, kw_only=True, frozen=True):
    at: datetime
    actor: str
    attribute: str
    was: str
    now: str


class AttributeChanges(Output, kw_only=True, frozen=True):
    items: tuple[AttributeChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saying:
    """What was asked to be said, read."""

    values: Mapping[str, Any]
    added: frozenset[str]
    removed: frozenset[str]

    def of(self, described: Described) -> Described:
        now = saying(described, self.values)
        if not self.added and not self.removed:
            return now
        tags = tuple(sorted((set(now.tags) | self.added) - self.removed))
        if len(tags) > LABELS:
            raise WrongState(f"a machine has at most {LABELS} tags")
        return saying(now, {"tags": tags})


async def describe(call: Call, principal: Principal, asked: DescribeMachines) -> DescribedMachines:
    """Say it of all the machines, or of none; one of which nothing changes leaves no entry.

    Raises:
        InvalidDocument: nothing is said or only blanks, the same is said and taken back, or there
            is no such collection.
        NotFound: one of them is not there.
        Refused: that would say who is in a collection where rights end.
        SignInAgain: other updaters may be held back there by it, or no more.
        WrongState: one of them is retired, or would have too many tags.
    """
    said, uuids = _saying(asked), list(dict.fromkeys(m.bytes for m in asked.machines))
    if asked.schedule is not None:
        await _check_schedule(call, asked.schedule)

    def planned(known: Sequence[Client]) -> Sequence[tuple[Client, Described]]:
        _check(known, uuids)
        ordered = sorted(known, key=lambda client: uuids.index(client.uuid))
        return [(one, now) for one in ordered if (now := said.of(one.described)) != one.described]

    def work(tx: Transaction) -> Sequence[tuple[Client, Described]]:
        plan = planned(tx.clients(uuids))
        said_anew = Redescribed((one.described, now) for one, now in plan)
        put(tx, plan, **reaching(tx, principal, said_anew, now=call.now))
        return plan

    if asked.dry_run:
        store = call.context.fleet.store
        plan = await call.read(lambda: planned(store.clients_of(uuids)))
    else:
        plan = await call.decide(principal, work)
    return DescribedMachines(
        machines=len(uuids),
        changed=len(plan),
        changes=tuple(
            _shown(client, change)
            for client, now in plan
            for change in changes(client.described, now)
        ),
    )


def put(tx: Transaction, plan: Iterable[tuple[Client, Described]], **besides: str | bool) -> None:
    """Have it said of each, and note what that changes there."""
    plan = list(plan)
    tx.describe_clients({client.number: now for client, now in plan})
    for client, now in plan:
        told = changes(client.described, now)
        tx.note(client.uuid.hex(), name=client.name, **detail_of(told), **besides)


def reaching(
    tx: Transaction, principal: Principal, said: Redescribed, *, now: datetime
) -> dict[str, str | bool]:
    """Return how an entry of the audit says what it may move besides.

    Whoever freezes a collection meanwhile waits for this decision, or this one for his.

    Raises:
        Refused, SignInAgain: she may not, or must prove anew who she is.
    """
    collection = check_who_describes(tx, principal, said)
    found: dict[str, str | bool] = {RIGHTS_END_AT: collection} if collection else {}
    if check_held_back(tx, principal, said, now=now):
        found[HELD_BACK] = True
    frozen = frozen_by(tx.calendar.freezes(), now)
    if leaves := not said.left.isdisjoint(frozen):
        check_may_thaw(principal)
    if leaves or moves_any(tx, said, frozen):
        found[FROZEN] = True
    return found


def detail_of(told: Iterable[Change]) -> dict[str, str]:
    """Return changes as an entry of the audit says them."""
    detail: dict[str, str] = {}
    for one in told:
        detail[one.attribute] = one.now
        if one.was:
            detail[f"{one.attribute}{WAS}"] = one.was
    return detail


async def list_changes(call: Call, principal: Principal, asked: ListChanges) -> AttributeChanges:
    """Raises NotFound."""
    fleet = call.context.fleet
    member = await call.read_fleet(lambda: fleet.ask(lambda view: view.member(asked.machine)))
    found = await call.read(
        lambda: fleet.store.audit_of(member.id.hex, limit=asked.limit, operations=SAYING)
    )
    return AttributeChanges(items=tuple(one for entry in found for one in _told(entry)))


def _told(entry: AuditEntry) -> Iterable[AttributeChange]:
    for name in ATTRIBUTES:
        if name in entry.detail:
            yield AttributeChange(
                at=entry.at,
                actor=entry.actor,
                attribute=name,
                was=str(entry.detail.get(f"{name}{WAS}", "")),
                now=str(entry.detail[name]),
            )


def _shown(client: Client, change: Change) -> ChangedMachine:
    return ChangedMachine(
        machine=UUID(bytes=client.uuid),
        name=client.name,
        attribute=change.attribute,
        was=change.was,
        now=change.now,
    )


async def _check_schedule(call: Call, schedule: UUID) -> None:
    fleet = call.context.fleet
    if not await call.read_fleet(lambda: fleet.ask(lambda view: schedule in view.collections)):
        raise InvalidDocument([Problem("schedule", "is the id of no collection")])


def _check(known: Sequence[Client], uuids: Sequence[bytes]) -> None:
    if len(known) < len(uuids):
        raise NotFound
    if retired := [c.name for c in known if c.state is ClientState.DECOMMISSIONED]:
        raise WrongState(f"{retired[0]} is retired")


def _saying(asked: DescribeMachines) -> _Saying:
    lines = {name: getattr(asked, name) for name in _LINES}
    if blank := [name for name, text in lines.items() if text and not text.strip()]:
        raise InvalidDocument(
            [Problem(name, "is blank; to take it back, forget it") for name in blank]
        )
    given: dict[str, Any] = {
        **{name: text.strip() for name, text in lines.items()},
        "roles": tuple(sorted(set(asked.role))),
        "tags": tuple(sorted(set(asked.tag))),
        "exposure": Exposure(asked.exposure) if asked.exposure else "",
        "restart": RestartCode(asked.restart),
    }
    values: dict[str, Any] = {name: value for name, value in given.items() if value}
    for name in ("schedule", *SCORES):
        if getattr(asked, name) is not None:
            values[name] = getattr(asked, name)
    if both := [name for name in asked.forget if name in values]:
        raise InvalidDocument([Problem(name, "is said and taken back at once") for name in both])
    values |= {name: getattr(UNDESCRIBED, name) for name in asked.forget}
    said = _Saying(
        values=values, added=frozenset(asked.add_tag), removed=frozenset(asked.remove_tag)
    )
    if not values and not said.added and not said.removed:
        raise InvalidDocument([Problem("body", "say something of them, or what to forget")])
    return said
