"""What people say of machines: owner, roles, exposure and location, of one or of many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.catalog.risk import Exposure
from patchtide.domain.compliance.described import UNDESCRIBED, Description
from patchtide.domain.errors import InvalidDocument, NotFound, Problem, WrongState
from patchtide.server.context import Call
from patchtide.server.patterns import LABEL, LINE
from patchtide.server.ports.clients import Client, ClientState
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input, Output

MOST = 500
"""So many machines at once: each leaves an entry, and a transaction writes a thousand rows."""
ROLES = 16
Line = Annotated[str, Meta(max_length=128, pattern=LINE)]
Role = Annotated[str, Meta(pattern=LABEL)]
ExposureName = Literal["", "perimeter", "critical", "server", "ordinary", "laptop", "isolated"]
Said = Literal["owner", "roles", "exposure", "location"]


class DescribeMachines(Input, kw_only=True, frozen=True):
    """What is not said stays as it was of each."""

    machines: Annotated[
        tuple[UUID, ...], Meta(min_length=1, max_length=MOST, description="The machines' ids.")
    ]
    owner: Annotated[Line, Meta(description="Whose they are: a person or a team.")] = ""
    role: Annotated[
        tuple[Role, ...],
        Meta(max_length=ROLES, description="What they are for, in place of the roles of before."),
    ] = ()
    exposure: Annotated[
        ExposureName, Meta(description="Where they stand, which counts for their risk classes.")
    ] = ""
    location: Annotated[Line, Meta(description="Where they are: a site, a building, a room.")] = ""
    forget: Annotated[
        tuple[Said, ...], Meta(max_length=4, description="What to take back of what was said.")
    ] = ()


class DescribedMachines(Output, kw_only=True, frozen=True):
    machines: int
    """Of how many it is said now."""


async def describe(call: Call, principal: Principal, asked: DescribeMachines) -> DescribedMachines:
    """Say it of all the machines, or of none.

    Raises:
        InvalidDocument: nothing is said or only blanks, or the same is said and taken back.
        NotFound: one of them is not there.
        WrongState: one of them is retired.
    """
    said, uuids = _description(asked), list(dict.fromkeys(m.bytes for m in asked.machines))

    def work(tx: Transaction) -> None:
        known = tx.clients(uuids)
        _check(known, uuids)
        tx.describe_clients(uuids, said)
        words = _in_words(said)
        for client in sorted(known, key=lambda client: uuids.index(client.uuid)):
            tx.note(client.uuid.hex(), name=client.name, **words)

    await call.decide(principal, work)
    return DescribedMachines(machines=len(uuids))


def _check(known: Sequence[Client], uuids: Sequence[bytes]) -> None:
    if len(known) < len(uuids):
        raise NotFound
    if retired := [c.name for c in known if c.state is ClientState.DECOMMISSIONED]:
        raise WrongState(f"{retired[0]} is retired")


def _description(asked: DescribeMachines) -> Description:
    lines = {"owner": asked.owner, "location": asked.location}
    if blank := [name for name, text in lines.items() if text and not text.strip()]:
        raise InvalidDocument(
            [Problem(name, "is blank; to take it back, forget it") for name in blank]
        )
    given = {
        "owner": asked.owner.strip(),
        "roles": tuple(sorted(set(asked.role))),
        "exposure": Exposure(asked.exposure) if asked.exposure else "",
        "location": asked.location.strip(),
    }
    if both := [name for name in asked.forget if given[name]]:
        raise InvalidDocument([Problem(name, "is said and taken back at once") for name in both])
    words = {name: value for name, value in given.items() if value}
    words |= {name: getattr(UNDESCRIBED, name) for name in asked.forget}
    said = Description(**words)  # type: ignore[arg-type]
    if said.says_nothing:
        why = "say an owner, a role, an exposure or a location, or what to forget"
        raise InvalidDocument([Problem("body", why)])
    return said


def _in_words(said: Description) -> dict[str, str]:
    words = {
        "owner": said.owner,
        "roles": None if said.roles is None else ", ".join(said.roles),
        "exposure": None if said.exposure is None else said.exposure.value,
        "location": said.location,
    }
    return {name: text or "none" for name, text in words.items() if text is not None}
