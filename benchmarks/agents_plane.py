"""Reports and check-ins over TLS, with the load generator on the same two cores."""

from __future__ import annotations

import contextlib
import random
import tempfile
from pathlib import Path

from benchmarks.fleet import Machine, Running, fleet, load, prepare, server
from patchtide.wire.messages import CheckInV1, FullV1, ReportV1, encode
from patchtide.wire.sets import encode_set, pack, state_digest

REPORTS = 20_000
LINEAGE = bytes(16)


def first_report(machine: Machine) -> bytes:
    """300 states, as a fresh machine against a shard of 3,000 leaves would have them."""
    chance = random.Random(machine.number)
    numbers = chance.sample(range(70_000, 73_000), 300)
    required, installed = encode_set(numbers[:40]), encode_set(numbers[40:])
    digest = state_digest(lineage=LINEAGE, required=required, installed=installed, unknown=b"")
    return encode(
        ReportV1(
            counter=1,
            lineage=LINEAGE,
            shards={"debian-12": 1},
            digest=digest,
            full=FullV1(required=pack(required), installed=pack(installed)),
            boot_id="boot",
            scan="completed",
            scanned_at=1,
        )
    )


def check_in(machine: Machine, counter: int) -> bytes:
    return encode(CheckInV1(counter=counter))


def line(name: str, measured: str, budget: str, baseline: str = "-") -> None:
    print(f"{name}\t{measured}\t{budget}\t{baseline}")


def reports_and_check_ins(url: str, home: Path, kind: str, budgets: tuple[int, int]) -> None:
    machines = fleet(REPORTS)
    prepare(home, url, machines)
    with server(home, database=url) as running:
        line(f"{kind}: first answer after start", f"{running.started_s:.2f} s", "<= 2 s")
        line(
            f"{kind}: memory with 20,000 machines known",
            f"{running.memory_mb():.0f} MB",
            "<= 150 MB",
        )
        requests = [
            m.request(
                "POST",
                "/agent/v1/report",
                first_report(m),
                counter=1,
                authority=running.authority,
            )
            for m in machines
        ]
        baseline = REPORTS / load(running, [_static(running)] * REPORTS, home)
        seconds = load(running, requests, home)
        rate = REPORTS / seconds
        line(
            f"{kind}: first reports of 300 states",
            f"{rate:.0f}/s",
            f">= {budgets[0]}/s",
            f"{baseline:.0f}/s",
        )
        requests = [
            m.request(
                "POST", "/agent/v1/checkin", check_in(m, 2), counter=2, authority=running.authority
            )
            for m in machines
        ]
        rate = REPORTS / load(running, requests, home)
        line(
            f"{kind}: check-ins with nothing new",
            f"{rate:.0f}/s",
            f">= {budgets[1]}/s",
            f"{baseline:.0f}/s",
        )


def _static(running: Running) -> bytes:
    """Return a request that touches no database and no key: the server's own floor."""
    path = "/catalog/metadata/1.root.json"
    return f"GET {path} HTTP/1.1\r\nhost: {running.authority}\r\n\r\n".encode()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        reports_and_check_ins(f"sqlite:///{home / 'patchtide.db'}", home, "SQLite", (3000, 4000))
    with contextlib.ExitStack() as stack:
        from tests.simulator.databases import postgres_url

        url = stack.enter_context(postgres_url())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        reports_and_check_ins(url, Path(folder), "PostgreSQL", (2000, 3500))


if __name__ == "__main__":
    main()
