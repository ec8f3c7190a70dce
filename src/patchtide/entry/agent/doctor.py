"""`patchtide agent doctor`: looks at everything the agent needs, and says what to do.

Nothing is sent; the server is reached as far as its certificate. Only with `--repair` anything is
changed (see `repair`), and then everything is looked at once more.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from patchtide.adapters.agentstate.identity import is_of_this_machine, read_machine_id
from patchtide.adapters.agentstate.local import local_or_nothing
from patchtide.adapters.agentstate.status import Status, open_to_others, read_status
from patchtide.adapters.platforms import own_service
from patchtide.adapters.platforms.apt import AptPlatform
from patchtide.adapters.platforms.dnf import DnfPlatform
from patchtide.adapters.platforms.machines import LinuxPlatform
from patchtide.adapters.platforms.simulated import SimulatedPlatform
from patchtide.adapters.transport.probe import certificate_end
from patchtide.adapters.transport.ways import Way
from patchtide.adapters.trust.ends import ends_of
from patchtide.agent import checkup
from patchtide.agent.checkup import Talk
from patchtide.agent.enrolment import Enrolment
from patchtide.domain.errors import PatchtideError
from patchtide.domain.findings import Finding, Level, fine, wrong
from patchtide.domain.schedules.scanning import SCAN_EVERY_S
from patchtide.entry.agent.machine import machine_of, root_of, takeover_of
from patchtide.entry.agent.printing import columns, print_json, print_lines
from patchtide.entry.agent.proxy import way_of
from patchtide.entry.agent.repair import Repaired, repaired
from patchtide.entry.agent.status import is_running, scanned_at

_MARKS = {Level.FINE: "ok", Level.NOTE: "note", Level.WRONG: "WRONG"}
_CURES = {
    "transfer-failed": "see that the server runs, and that name and port can be reached from here",
    "transfer-untrusted": "tell the server's administrator: it is another server, or its names or"
    " its certificate are wrong; the agent sends it nothing",
    "no-machine-id": "systemd-machine-id-setup",
}


def show_findings(asked: argparse.Namespace) -> int:
    found, done = list(_findings(asked, time.time())), list[Repaired]()
    if asked.repair:
        root = root_of(machine_of(asked.platform))
        done = list(repaired(found, state=asked.state, root=root))
        found = list(_findings(asked, time.time()))
    bad = sum(finding.level is Level.WRONG for finding in found)
    if asked.json:
        checks = [_as_json(finding) for finding in found]
        repairs = [{"check": one.check, "said": one.said} for one in done]
        print_json({"wrong": bad, "checks": checks, "repaired": repairs})
    else:
        print_lines([*(f"repair {one.check}: {one.said}" for one in done), *_as_text(found, bad)])
    return 1 if bad else 0


def _findings(asked: argparse.Namespace, now: float) -> Iterator[Finding]:
    state: Path = asked.state
    if not state.is_dir():
        yield wrong("state", f"there is no folder {state}", "enrol: patchtide agent enrol --help")
    else:
        yield checkup.on_modes(str(state), open_to_others(state))
        yield checkup.on_space(str(state), shutil.disk_usage(state).free)
    seen = read_status(state)
    yield from _of_the_site(asked, seen, now)
    yield from _of_the_service(machine_of(asked.platform), state)
    yield from _of_the_machine(asked.platform, state, now)


def _of_the_service(machine: LinuxPlatform | SimulatedPlatform, state: Path) -> Iterator[Finding]:
    root = root_of(machine)
    stands = own_service.standing(root, state) if root else ""
    can = stands in (own_service.ENABLED, own_service.DISABLED)
    yield checkup.on_running(running=is_running(state), can_be_started=can)
    if stands:
        yield checkup.on_service(
            enabled=stands == own_service.ENABLED, masked=stands == own_service.MASKED
        )


def _of_the_site(asked: argparse.Namespace, seen: Status, now: float) -> Iterator[Finding]:
    """Without an identity there is nothing to say of server, trust and reports."""
    kept = seen.enrolment
    if kept is None:
        yield checkup.on_enrolment(None, of_this_machine=False)
        return
    yield from _looked(
        "enrolment", lambda: checkup.on_enrolment(kept.site, of_this_machine=_is_own(asked))
    )
    local, flaw = local_or_nothing(asked.config, state=asked.state)
    if flaw:
        yield wrong("settings", flaw, "mend the file; until then nothing of it counts")
    way = way_of(asked.state, local)
    yield from _reached(kept, way, now)
    if seen.damaged:
        yield wrong("journal", seen.damaged, "the agent makes a new one at its next start")
        return
    talk = _talk(seen)
    yield checkup.on_check_ins(talk, now)
    yield checkup.on_clock(
        seen.brain.memory.clock_offset_s if seen.brain and talk.heard_at else None
    )
    yield checkup.on_trust(ends_of(asked.state / "trust" / "metadata"), now)
    yield checkup.on_reports(talk, now)


def _reached(kept: Enrolment, way: Way, now: float) -> Iterator[Finding]:
    """Try the proxy first: where the site told of it, the server is to be had without it."""
    proxy = way.proxy
    if proxy is not None and way.via(urlsplit(kept.url).hostname or "") is not None:
        try:
            end = certificate_end(kept.url, kept.ca, way)
        except PatchtideError as error:
            yield checkup.on_failing_proxy(f"{error.code}: {error}", is_only_way=not way.falls_back)
            if not way.falls_back:
                return
        else:
            yield fine("proxy", f"{proxy.address} leads to the server")
            yield checkup.on_certificate(end, now)
            return
    yield from _looked(
        "server", lambda: checkup.on_certificate(certificate_end(kept.url, kept.ca), now)
    )


def _of_the_machine(platform: str, state: Path, now: float) -> Iterator[Finding]:
    machine = machine_of(platform)
    others = takeover_of(machine, state)
    yield checkup.on_updaters(others.at_work(), others.taken())
    match machine:
        case AptPlatform():
            try:
                yield from _of_dpkg(machine, now)
            except PatchtideError as error:
                yield _unseen("dpkg", error)
                return
        case DnfPlatform():
            try:
                yield _of_rpm(machine)
            except PatchtideError as error:
                yield checkup.on_rpm_unread(f"{error.code}: {error}")
                return
    yield from _looked(
        "restart", lambda: checkup.on_restart(pending=machine.uptime().restart_pending)
    )


def _of_dpkg(machine: AptPlatform, now: float) -> Iterator[Finding]:
    condition = machine.condition()
    yield checkup.on_packages(condition.broken, interrupted=condition.interrupted)
    yield checkup.on_lists(condition.lists_at, now)


def _of_rpm(machine: DnfPlatform) -> Finding:
    condition = machine.condition()
    return checkup.on_rpm(condition.doubled, holder=condition.holder)


def _looked(check: str, look: Callable[[], Finding]) -> Iterator[Finding]:
    try:
        yield look()
    except PatchtideError as error:
        yield _unseen(check, error)


def _unseen(check: str, error: PatchtideError) -> Finding:
    cure = _CURES.get(error.code, "look the code up in the reference of error codes")
    return wrong(check, f"{error.code}: {error}", cure)


def _is_own(asked: argparse.Namespace) -> bool:
    machine_id = read_machine_id(asked.machine_id_file)
    return is_of_this_machine(asked.state / "identity", machine_id=machine_id)


def _talk(seen: Status) -> Talk:
    memory = seen.brain.memory if seen.brain else None
    event = seen.last_event
    return Talk(
        heard_at=memory.heard_at if memory else 0.0,
        reported_at=memory.told_at if memory else 0.0,
        scanned_at=scanned_at(seen),
        poll_s=memory.poll_s if memory else 0,
        scan_every_s=memory.pace.scan_every_s if memory else SCAN_EVERY_S,
        failures=memory.failures if memory else 0,
        last_event=f"{event.code} {event.detail}".strip() if event else "",
        report_waits=seen.pending is not None,
    )


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "level": finding.level.value,
        "said": finding.said,
        "cure": finding.cure,
    }


def _as_text(found: Sequence[Finding], bad: int) -> Iterator[str]:
    rows = columns([(_MARKS[f.level], f.check, f.said) for f in found])
    for finding, row in zip(found, rows, strict=True):
        yield row
        if finding.cure:
            yield f"{'':7}to do: {finding.cure}"
    yield ""
    yield "nothing is wrong" if not bad else f"{bad} of {len(found)} checks found something wrong"
