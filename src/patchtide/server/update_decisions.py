"""What people decide about updates themselves: how dangerous they are, and whose terms hold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.catalog.judged import Acceptance
from patchtide.domain.catalog.risk import UNRATED, Exposure, Rating, Reach, risk_class
from patchtide.domain.catalog.updates import UpdateId as CatalogId
from patchtide.domain.errors import StaleRevision, WrongState
from patchtide.server.context import Call
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import KnownUpdate
from patchtide.server.patterns import SHA256
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input, Output
from patchtide.server.updates import UpdateId

ReachName = Literal["", "anywhere", "network", "account"]


class RateUpdate(Input, kw_only=True, frozen=True):
    """What is not said stays as it was rated before."""

    update: UpdateId
    exploited: Annotated[bool | None, Meta(description="It is known to be exploited.")] = None
    mitigated: Annotated[
        bool | None, Meta(description="Something else keeps it from doing harm.")
    ] = None
    reach: Annotated[
        ReachName, Meta(description="From where it is reached: an account on the machine at least?")
    ] = ""
    note: Annotated[
        Annotated[str, Meta(max_length=2000)] | None,
        Meta(description="Why, for whoever asks later."),
    ] = None
    withdraw: Annotated[
        bool, Meta(description="Take the rating back first: its vendor's severity counts alone.")
    ] = False


class AcceptLicence(Input, kw_only=True, frozen=True):
    update: UpdateId
    sha256: Annotated[str, Meta(pattern=SHA256, description="Of the terms that were read.")]


class ShownTarget(Output, kw_only=True, frozen=True):
    exposure: str
    """Where a machine stands."""
    risk: str
    percent: int
    within_days: int


class ShownRating(Output, kw_only=True, frozen=True):
    exploited: bool
    mitigated: bool
    reach: str
    note: str
    is_rated: bool
    """No: nobody here has said anything, and its vendor's severity alone counts."""
    targets: tuple[ShownTarget, ...]
    """How urgent it is on which machines, and how soon how many of them are to have it."""


class AcceptedLicence(Output, kw_only=True, frozen=True):
    sha256: str
    accepted_at: datetime
    accepted_by: str


async def rate(call: Call, principal: Principal, asked: RateUpdate) -> ShownRating:
    """Raises NotFound."""
    fleet = call.context.fleet
    rating = await call.read_fleet(lambda: fleet.ask(lambda view: _rated(view, asked)))

    def work(tx: Transaction) -> None:
        tx.rate_update(asked.update, rating)
        if rating is None:
            tx.note(str(asked.update), withdrawn=True)
            return
        tx.note(
            str(asked.update),
            exploited=rating.exploited,
            mitigated=rating.mitigated,
            reach=rating.reach.value,
        )

    await call.decide(principal, work)
    return await call.read_fleet(
        lambda: fleet.ask(lambda view: rating_of(view, view.update(asked.update)))
    )


def _rated(view: View, asked: RateUpdate) -> Rating | None:
    """Return what it is rated as from now on; None: nobody says anything of it any more.

    Raises:
        NotFound
    """
    known = view.judged.rating(CatalogId(view.update(asked.update).id))
    said = (asked.exploited, asked.mitigated, asked.reach or None, asked.note)
    if asked.withdraw:
        if all(one is None for one in said):
            return None
        known = UNRATED
    return Rating(
        exploited=known.exploited if asked.exploited is None else asked.exploited,
        mitigated=known.mitigated if asked.mitigated is None else asked.mitigated,
        reach=Reach(asked.reach) if asked.reach else known.reach,
        note=known.note if asked.note is None else asked.note.strip(),
    )


async def accept_licence(call: Call, principal: Principal, asked: AcceptLicence) -> AcceptedLicence:
    """Accept the terms for the whole site, wherever they stand.

    Raises:
        NotFound
        WrongState: it has no terms.
        StaleRevision: they are others than those that were read.
    """
    fleet = call.context.fleet
    update = await call.read_fleet(lambda: fleet.ask(lambda view: view.update(asked.update)))
    digest = update.details.licence_digest if update.details else b""
    if not digest:
        raise WrongState("this update has no licence terms")
    if digest.hex() != asked.sha256:
        raise StaleRevision("the terms are others now; read them again")
    accepted = Acceptance(by=principal.actor, at=call.now)

    def work(tx: Transaction) -> None:
        if not tx.accept_licence(digest, accepted):
            raise WrongState("these terms are accepted already")
        tx.note(str(asked.update), sha256=digest.hex())

    await call.decide(principal, work)
    return AcceptedLicence(sha256=asked.sha256, accepted_at=accepted.at, accepted_by=accepted.by)


def rating_of(view: View, update: KnownUpdate) -> ShownRating:
    rating = view.judged.rating(CatalogId(update.id))
    return ShownRating(
        exploited=rating.exploited,
        mitigated=rating.mitigated,
        reach=rating.reach.value,
        note=rating.note,
        is_rated=CatalogId(update.id) in view.judged.ratings,
        targets=tuple(_target(view, update, rating, exposure) for exposure in Exposure),
    )


def _target(view: View, update: KnownUpdate, rating: Rating, exposure: Exposure) -> ShownTarget:
    risk = risk_class(update.severity, rating, exposure)
    target = view.judged.targets[risk]
    return ShownTarget(
        exposure=exposure.value,
        risk=risk.value,
        percent=target.percent,
        within_days=target.within.days,
    )
