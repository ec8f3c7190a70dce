"""How a site's agents behave: how often they look, by which proxy, and who else may update."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.domain.schedules.postponing import LONGEST_S, MOST_TIMES
from patchtide.domain.schedules.scanning import (
    LONGEST_POLL_S,
    LONGEST_SCAN_S,
    MISSED,
    SCAN_EVERY_S,
    stale_after,
)
from patchtide.domain.sequencer.proxies import MOST_DIRECT
from patchtide.server.context import Call
from patchtide.server.kept_agent_settings import (
    AGENTS,
    HOUR_S,
    KeptAgents,
    SaidAnchor,
    SaidProxy,
    UpdatersName,
    postpone_limit_of,
    read_agents,
    scan_rule_of,
    settings_in,
)
from patchtide.server.ports.decisions import Transaction
from patchtide.server.synchronisation_plan import CycleName
from patchtide.server.table import Input, Nothing, Output
from patchtide.server.taking_over import check_raised, look, said

NO_ANCHOR = SaidAnchor(cycle="")


Times = Annotated[int, Meta(ge=0, le=MOST_TIMES)]
Hours = Annotated[int, Meta(ge=0, le=LONGEST_S // HOUR_S)]


class SaidAgents(Input, kw_only=True, frozen=True):
    poll_s: Annotated[
        int,
        Meta(ge=0, le=LONGEST_POLL_S, description="Seconds between two check-ins, 60 or more."),
    ] = 0
    scan_every_h: Annotated[
        int, Meta(ge=0, le=LONGEST_SCAN_S // HOUR_S, description="Hours between two scans.")
    ] = 0
    cycle: Annotated[CycleName, Meta(description="Scan by a vendor's calendar, too.")] = ""
    days_after: Annotated[
        int, Meta(ge=-28, le=28, description="Days after the cycle's own; before it, if negative.")
    ] = 0
    for_days: Annotated[
        int, Meta(ge=1, le=28, description="On so many days in a row from there.")
    ] = 1
    at: Annotated[str, Meta(max_length=5, description="Time of day, else 04:00.")] = ""
    zone: Annotated[str, Meta(max_length=64, description="Time zone of that; without it UTC.")] = ""
    updaters: Annotated[
        UpdatersName,
        Meta(description="Others that install updates there: take-over holds them back."),
    ] = ""
    postpone_times: Annotated[
        Times | None, Meta(description="So often users may put off what is due there; 0: never.")
    ] = None
    postpone_h: Annotated[
        Hours | None, Meta(description="And for so many hours in all; 0: not at all.")
    ] = None

    def kept(self) -> KeptAgents:
        """Raises InvalidDocument: it is said when on a day, and not on which days."""
        return KeptAgents(
            poll_s=self.poll_s,
            scan_every_s=self.scan_every_h * HOUR_S,
            anchor=_anchor(self),
            updaters=self.updaters,
            postpone_times=self.postpone_times,
            postpone_h=self.postpone_h,
        )


class SetAgents(SaidAgents, kw_only=True, frozen=True):
    """What is not said is as sites begin."""

    missed: Annotated[
        int,
        Meta(ge=0, le=100, description="It is silent after so many missed check-ins; else 3."),
    ] = 0
    build_h: Annotated[
        int,
        Meta(ge=0, le=720, description="A new machine is in build for so many hours at most."),
    ] = 0


class SetProxy(Input, kw_only=True, frozen=True):
    """With no address, machines reach the server as they are."""

    address: Annotated[
        str, Meta(max_length=300, description="As http://proxy.example.org:3128.")
    ] = ""
    direct: Annotated[
        tuple[Annotated[str, Meta(max_length=254)], ...],
        Meta(max_length=MOST_DIRECT, description="Hosts without it, as intern.example.org."),
    ] = ()


class ShownAgents(Output, kw_only=True, frozen=True):
    poll_s: int
    """Seconds between two check-ins."""
    poll_is_set: bool
    """False: it is what the server was started with."""
    scan_every_h: int
    scan_is_set: bool
    """False: it is what sites begin with."""
    cycle: str
    """Whose days machines scan on besides; empty: nobody's."""
    days_after: int
    for_days: int
    at: str
    zone: str
    proxy: str
    """By which machines reach the server; empty: as they are."""
    proxy_direct: tuple[str, ...]
    updaters: UpdatersName
    """What becomes of others that install updates there: take-over or leave."""
    build_h: int
    """For how many hours at most a new machine is in build; 0: none is."""
    postpone_times: int
    """How often users may put off what is due at a machine; 0: never."""
    postpone_times_is_set: bool
    """False: it is what sites begin with."""
    postpone_h: int
    """For how many hours in all."""
    postpone_h_is_set: bool
    """False: it is what sites begin with."""
    missed: int
    """A machine that misses so many check-ins is silent."""
    silent_after_s: int
    """After how many seconds without a word a machine is silent."""
    stale_after_s: int
    """From which age on a report is too old to say how a machine stands."""


async def show(call: Call, principal: Principal, asked: Nothing) -> ShownAgents:
    lookups = call.context.lookups
    return _shown(call, read_agents(await call.read(lambda: lookups.setting(AGENTS))))


async def set_agents(call: Call, principal: Principal, asked: SetAgents) -> ShownAgents:
    """Set all of it at once.

    Raises:
        InvalidDocument: an interval is out of its limits, or the words make no days.
        SignInAgain: machines would be without other updaters, or longer in build.
    """
    wanted = msgspec.structs.replace(asked.kept(), missed=asked.missed, build_h=asked.build_h)
    settings_in(wanted)

    def work(tx: Transaction) -> bytes:
        known = read_agents(tx.lock_setting(AGENTS))
        was = said(tx)
        raised = check_raised(call, principal, was, replace(was, site=wanted))
        data = msgspec.msgpack.encode(_since(known, wanted, now=call.now.timestamp()))
        tx.put_setting(AGENTS, data)
        tx.note(
            "agents",
            poll_s=asked.poll_s,
            scan_every_h=asked.scan_every_h,
            cycle=asked.cycle,
            missed=asked.missed,
            updaters=asked.updaters,
            build_h=asked.build_h,
            postpone_times=asked.postpone_times,
            postpone_h=asked.postpone_h,
            **raised,
        )
        return data

    await look(call)
    data = await call.decide(principal, work)
    await call.read(lambda: call.context.agents.load(call.context.lookups, call.now))
    return _shown(call, read_agents(data))


async def set_proxy(call: Call, principal: Principal, asked: SetProxy) -> ShownAgents:
    """Raises InvalidDocument: it is no address or host."""
    if not asked.address and asked.direct:
        raise InvalidDocument([Problem("address", "is missing")])

    def work(tx: Transaction) -> bytes:
        known = read_agents(tx.lock_setting(AGENTS))
        proxy = SaidProxy(address=asked.address, direct=asked.direct) if asked.address else None
        kept = msgspec.structs.replace(known, proxy=proxy)
        settings_in(kept)
        data = msgspec.msgpack.encode(kept)
        tx.put_setting(AGENTS, data)
        tx.note("proxy", address=asked.address, direct=" ".join(asked.direct)[:500])
        return data

    data = await call.decide(principal, work)
    await call.read(lambda: call.context.agents.load(call.context.lookups, call.now))
    return _shown(call, read_agents(data))


def _since(known: KeptAgents, wanted: KeptAgents, *, now: float) -> KeptAgents:
    """Note when the interval between scans became another, and what it was before."""
    wanted = msgspec.structs.replace(wanted, proxy=known.proxy)
    if wanted.scan_every_s == known.scan_every_s:
        return msgspec.structs.replace(wanted, before_s=known.before_s, since=known.since)
    before_s = scan_rule_of(known).before(datetime.fromtimestamp(now, UTC))
    return msgspec.structs.replace(wanted, before_s=before_s, since=now)


def _anchor(asked: SaidAgents) -> SaidAnchor | None:
    """Raises InvalidDocument: it is said when on a day, and not on which days."""
    if asked.cycle:
        names = ("cycle", "days_after", "for_days", "at", "zone")
        words = {name: getattr(asked, name) for name in names}
        return SaidAnchor(**{name: value for name, value in words.items() if value != ""})
    given = {"at": asked.at, "zone": asked.zone, "days_after": asked.days_after}
    if wrong := [name for name, value in given.items() if value]:
        why = "goes with a cycle (--cycle patch-tuesday)"
        raise InvalidDocument([Problem(name, why) for name in wrong])
    return None


def _shown(call: Call, kept: KeptAgents) -> ShownAgents:
    every_s = kept.scan_every_s or SCAN_EVERY_S
    anchor, postponing = kept.anchor or NO_ANCHOR, postpone_limit_of(kept)
    return ShownAgents(
        poll_s=call.context.agents.usual().poll_s,
        poll_is_set=bool(kept.poll_s),
        scan_every_h=every_s // HOUR_S,
        scan_is_set=bool(kept.scan_every_s),
        **msgspec.structs.asdict(anchor),
        proxy=kept.proxy.address if kept.proxy else "",
        proxy_direct=kept.proxy.direct if kept.proxy else (),
        updaters=kept.updaters or "leave",
        build_h=kept.build_h,
        postpone_times=postponing.times,
        postpone_times_is_set=kept.postpone_times is not None,
        postpone_h=postponing.within_s // HOUR_S,
        postpone_h_is_set=kept.postpone_h is not None,
        missed=kept.missed or MISSED,
        silent_after_s=int(call.context.agents.silent_after.total_seconds()),
        stale_after_s=int(stale_after(every_s).total_seconds()),
    )
