"""F37 on real sockets: a server stops, 5,000 machines try again and again, and it comes back.

Each machine is the agent's own brain behind a connection of its own, TLS handshake and all. Its
period is half a minute and not an hour, so 5,000 here come as thick as 150,000 do at the longest
back-off of 15 minutes. Measured are when the last one is in again, how many requests each needed,
how thick they came, and how long those that were let in waited. Each has an address of its own,
which a balancer tells.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

import uvloop

from benchmarks.fleet import Machine, fleet, prepare, server
from benchmarks.rollout import free_port, line, p95_ms
from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer.brain import advance
from patchtide.domain.sequencer.states import Brain, Idle, Memory
from patchtide.wire.messages import CheckInV1, encode

MACHINES = int(os.environ.get("PATCHTIDE_BENCH_HERD", "5000"))
PERIOD_S, OUTAGE_S = 30, 60
TIMEOUT_S = 30.0
HERE = "127.0.0.1"


@dataclass
class Told:
    """What all machines saw, by the clock of the benchmark."""

    back_at: float = float("inf")
    """When the server was there again."""
    first_in: dict[int, float] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    bins: Counter[int] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)


class Herd:
    def __init__(self, machines: list[Machine], port: int, ca: str) -> None:
        self._machines = machines
        self._port = port
        self._context = ssl.create_default_context(cafile=ca)
        self.told = Told()

    async def live(self, number: int, *, until: float) -> None:
        """Let one machine live as its brain says."""
        machine, counter = self._machines[number], 1
        memory = Memory(
            seed=machine.uuid.bytes,
            boot_id="1",
            poll_s=PERIOD_S,
            scan_due=False,
            full_due=False,
            scan_at=time.time() + 86_400,
            refresh_at=time.time() + 86_400,
            told_at=time.time(),
        )
        state, _, wake_up = advance(Brain(memory, Idle()), ev.Started("1"), time.time())
        wake_up = time.time() + (int.from_bytes(machine.uuid.bytes[:4]) / 2**32) * PERIOD_S
        while time.time() < until:
            await asyncio.sleep(max(0.0, min(wake_up, until) - time.time()))
            state, commands, wake_up = advance(state, ev.Woken(), time.time())
            while commands:
                counter += 1
                heard = await self._check_in(number, machine, counter)
                state, commands, wake_up = advance(state, heard, time.time())

    async def _check_in(self, number: int, machine: Machine, counter: int) -> ev.Event:
        began = time.time()
        try:
            status, wait = await asyncio.wait_for(self._asked(machine, counter), TIMEOUT_S)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            status, wait = 0, 0.0
        now = time.time()
        if began > self.told.back_at:
            self.told.asked[str(status)] += 1
            self.told.bins[int(began - self.told.back_at)] += 1
        if status == 401:  # made before this server was there: say it again
            return ev.ClockOff(now)
        if status == 204:
            if now > self.told.back_at:
                self.told.first_in.setdefault(number, now)
                self.told.took.append(now - began)
            return ev.CheckedIn(next_poll_s=PERIOD_S)
        return ev.Deferred(wait) if status == 503 else ev.Failed("unreachable")

    async def _asked(self, machine: Machine, counter: int) -> tuple[int, float]:
        authority = f"localhost:{self._port}"
        body = encode(CheckInV1(counter=counter))
        request = machine.request(
            "POST", "/agent/v1/checkin", body, counter=counter, authority=authority
        )
        reader, writer = await asyncio.open_connection(HERE, self._port)
        try:
            writer.write(_announced(machine))
            await writer.start_tls(self._context, server_hostname="localhost")
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.transport.abort()
        lower = head.lower()
        at = lower.find(b"retry-after:")
        wait = float(lower[at + 12 :].split(b"\r\n", 1)[0]) if at >= 0 else 0.0
        return int(head[9:12]), wait


def _announced(machine: Machine) -> bytes:
    """Say as a balancer would where the machine is: a server lets in so many of one address."""
    address = IPv4Address((10 << 24) + machine.number)
    return f"PROXY TCP4 {address} {HERE} 50000 8540\r\n".encode()


async def _storm(home: Path, database: str, port: int) -> Told:
    """The server is started and stopped beside the loop, where the machines live on meanwhile."""
    end = time.time() + 5 * PERIOD_S + OUTAGE_S
    first = server(home, database=database, port=str(port), balancers=HERE)
    running = await asyncio.to_thread(first.__enter__)
    herd = Herd(fleet(MACHINES), port, running.ca)
    lives = [asyncio.create_task(herd.live(n, until=end)) for n in range(MACHINES)]
    await asyncio.sleep(2 * PERIOD_S)
    await asyncio.to_thread(first.__exit__, None, None, None)
    await asyncio.sleep(OUTAGE_S)
    second = server(home, database=database, port=str(port), balancers=HERE)
    await asyncio.to_thread(second.__enter__)
    herd.told.back_at = time.time()
    await asyncio.gather(*lives)
    await asyncio.to_thread(second.__exit__, None, None, None)
    return herd.told


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="patchtide-bench-") as folder:
        home = Path(folder) / "home"
        database = f"sqlite:///{home / 'patchtide.db'}"
        prepare(home, database, fleet(MACHINES))
        told = uvloop.run(_storm(home, database, free_port()))
    all_in = max(told.first_in.values(), default=float("inf")) - told.back_at
    missing = MACHINES - len(told.first_in)
    name = f"{MACHINES:,} machines after an outage"
    line(f"{name}: not in again", str(missing), "<= 0")
    line(f"{name}: the last is in after", f"{all_in:.1f} s", f"<= {PERIOD_S + 5} s")
    refused = {status: n for status, n in told.asked.items() if status != "204"}
    line(f"{name}: asked for nothing", f"{sum(refused.values())}", f"<= {MACHINES // 100}")
    print(f"{name}: asked for nothing, by what was answered: {refused} (0: no answer)")
    peak, mean = max(told.bins.values()), MACHINES / PERIOD_S
    line(f"{name}: thickest second", f"{peak}/s", f"<= {3 * mean:.0f}/s", f"{mean:.0f}/s")
    line(f"{name}: wait of those let in, p95", f"{p95_ms(told.took):.0f} ms", "<= 2000 ms")


if __name__ == "__main__":
    main()
