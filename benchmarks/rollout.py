"""A first roll-out, then a Patch Tuesday, with a person at the console, on both databases.

First every machine tells 300 states at once; then ten updates are published, and every machine
tells of them as a difference. Requests are made and signed ahead, by several processes and onto
the disk; sending them is measured, the sender being on the same processors. "Counted" is how long
after its last acknowledgement the overview counts the last machine. Memory is the server's with all
its processes, at its highest.

    PATCHTIDE_BENCH_MACHINES=10000 PATCHTIDE_BENCH_DATABASES=SQLite python -m benchmarks rollout

Above 100,000 machines, or PATCHTIDE_BENCH_SLICE of them, it goes in slices of so many; what one
costs beside the first says whether the cost is linear. The baseline of a rate is the server's own
floor: a file that needs no database.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks import prepared
from benchmarks.fleet import ROOT, Running, load, load_files, server
from benchmarks.made_ahead import Body, Ground, first_report, make, next_report

MACHINES = int(os.environ.get("PATCHTIDE_BENCH_MACHINES", "100000"))
DATABASES = os.environ.get("PATCHTIDE_BENCH_DATABASES", "SQLite,PostgreSQL").split(",")
SLICE = int(os.environ.get("PATCHTIDE_BENCH_SLICE", "100000"))
NEW = 10
FIRST_S, NEXT_S = 60, 45
"""What 100,000 may take, of the first reports and of the differences."""
COUNTED_S, PAGE_MS, MEMORY_MB = 1.0, 300, 2048
CONNECTIONS = 256
FLOOR = 10_000


def line(name: str, measured: str, budget: str, baseline: str = "-") -> None:
    print(f"{name}\t{measured}\t{budget}\t{baseline}", flush=True)


@dataclass(frozen=True)
class Bench:
    """One database's run."""

    kind: str
    database: str
    home: Path

    @cached_property
    def port(self) -> int:
        """Signatures name it before the server is there."""
        return free_port()

    def run(self) -> None:
        known = prepared.prepare(self.home, self.database, machines=MACHINES)
        ground = Ground(
            lineage=known.lineage,
            serial=known.serial,
            numbers=known.numbers,
            authority=f"localhost:{self.port}",
        )
        name = f"{self.kind}: {MACHINES:,} first reports of 300 states"
        self._phase(name, ground, first_report, 1, _nobody_is_missing, limit_s=FIRST_S)
        more = prepared.publish_more(self.home, self.database, NEW)
        ground = replace(ground, serial=more.serial, new=tuple(more.numbers))
        name = f"{self.kind}: {NEW} new states of {MACHINES:,}"
        self._phase(name, ground, next_report, 2, _all_need_the_new, limit_s=NEXT_S)

    def _phase(
        self,
        name: str,
        ground: Ground,
        body: Body,
        counter: int,
        is_counted: Callable[[Mapping[str, Any]], bool],
        *,
        limit_s: int,
    ) -> None:
        with server(self.home, database=self.database, port=str(self.port)) as running:
            floor = _floor(running, self.home)
            paths = ["/", "/machines", "/updates", f"/updates/{_one_update(running)}"]
            with _person(running, paths) as took:
                slices = [
                    self._slice(running, ground, body, counter, start)
                    for start in range(0, MACHINES, SLICE)
                ]
                counted = _until(running, is_counted)
            memory = peak_mb(running.pid)
        seconds = sum(slices)
        limit = limit_s * MACHINES / 100_000
        line(name, f"{seconds:.1f} s", f"<= {limit:.1f} s")
        line(f"{name}, rate", f"{MACHINES / seconds:.0f}/s", f">= {100_000 / limit_s:.0f}/s", floor)
        line(f"{name}, counted", f"{counted:.2f} s", f"<= {COUNTED_S} s")
        line(f"{name}, memory", f"{memory:.0f} MB", f"<= {MEMORY_MB} MB")
        if len(slices) > 1:
            line(f"{name}, last slice", f"{slices[-1]:.1f} s", "-", f"{slices[0]:.1f} s")
        for path, times in took.items():
            page = path.split("/")[1] + ("/..." if path.count("/") > 1 else "")
            line(f"{name}, page /{page}, p95", f"{p95_ms(times):.0f} ms", f"<= {PAGE_MS} ms")

    def _slice(
        self, running: Running, ground: Ground, body: Body, counter: int, start: int
    ) -> float:
        machines = range(start, min(start + SLICE, MACHINES))
        files = make(machines, self.home, ground=ground, body=body, counter=counter)
        seconds = load_files(running, files, requests=len(machines), connections=CONNECTIONS)
        for file in files:
            file.unlink()
        return seconds


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _floor(running: Running, folder: Path) -> str:
    path = "/catalog/metadata/1.root.json"
    request = f"GET {path} HTTP/1.1\r\nhost: {running.authority}\r\n\r\n".encode()
    return f"{FLOOR / load(running, [request] * FLOOR, folder):.0f}/s"


def _nobody_is_missing(overview: Mapping[str, Any]) -> bool:
    return "never-reported" not in overview["doubts"]


def _all_need_the_new(overview: Mapping[str, Any]) -> bool:
    """The new ones are critical, and so the first of what is needed most."""
    return all(one["required"] == MACHINES for one in overview["worst"])


def _ask(running: Running, path: str) -> Any:
    """Ask until it is answered: at its start a server may have to read a million machines."""
    request = urllib.request.Request(
        f"https://{running.authority}{path}",
        headers={"authorization": f"Bearer {prepared.TOKEN}"},
    )
    context = ssl.create_default_context(cafile=running.ca)
    until = time.monotonic() + 600
    while True:
        try:
            with urllib.request.urlopen(request, context=context, timeout=600) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > until:
                raise
            time.sleep(1)


def _one_update(running: Running) -> str:
    return str(_ask(running, "/api/v1/updates?limit=1")["items"][0]["id"])


def _until(running: Running, is_counted: Callable[[Mapping[str, Any]], bool]) -> float:
    began = time.perf_counter()
    while not is_counted(_ask(running, "/api/v1/overview")):
        if time.perf_counter() - began > 600:
            raise RuntimeError(f"never counted: {_ask(running, '/api/v1/overview')}")
        time.sleep(0.02)
    return time.perf_counter() - began


@contextlib.contextmanager
def _person(running: Running, paths: Sequence[str]) -> Iterator[dict[str, list[float]]]:
    """Have somebody look at the pages within the block; the times are there after it."""
    command = [sys.executable, "-m", "benchmarks.pages", "--url", f"https://{running.authority}"]
    command += ["--ca", running.ca, "--password", prepared.PASSWORD, *paths]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    took: dict[str, list[float]] = {}
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError("nobody could look at the pages")
        yield took
    finally:
        told, _ = process.communicate(input="")
    took.update(json.loads(told))


def p95_ms(times: Sequence[float]) -> float:
    """Return what 95 of 100 stayed below; without any, nothing was ever answered."""
    ordered = sorted(times)
    return ordered[int(len(ordered) * 0.95)] * 1000 if ordered else float("inf")


def peak_mb(pid: int) -> float:
    """Return the most memory that the process and its children held, each at its highest."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (int(found[1]) / 1024 if found else 0.0) + sum(peak_mb(int(c)) for c in children)


def main() -> None:
    for kind in DATABASES:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="patchtide-bench-"))
            home = Path(folder) / "home"
            url = f"sqlite:///{home / 'patchtide.db'}"
            if kind == "PostgreSQL":
                from tests.simulator.databases import postgres_url

                url = stack.enter_context(postgres_url())
            Bench(kind, url, home).run()


if __name__ == "__main__":
    main()
