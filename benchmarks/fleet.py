"""A server process over a home with N enrolled machines, and their signed requests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from patchtide.adapters.storage import Storage
from patchtide.server.ports.clients import ClientState, NewClient
from patchtide.server.ports.decisions import Transaction
from patchtide.wire.request_signature import Request, sign_request

ROOT = Path(__file__).parents[1]
CONNECTIONS = 400
"""As many machines at once as a server answers without telling some of them to come later."""


@dataclass(frozen=True)
class Machine:
    number: int

    @cached_property
    def uuid(self) -> UUID:
        return UUID(bytes=sha256(f"uuid {self.number}".encode()).digest()[:16])

    @cached_property
    def key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(sha256(f"key {self.number}".encode()).digest())

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        counter: int,
        authority: str,
        created: int = 0,
    ) -> bytes:
        """Return a whole signed HTTP/1.1 request."""
        asked = Request(method=method, authority=authority, path=path, body=body)
        headers = sign_request(
            asked,
            self.key.sign,
            key_id=str(self.uuid),
            counter=counter,
            created=created or int(time.time()),
        )
        lines = [f"{method} {path} HTTP/1.1", f"host: {authority}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body:
            lines.append(f"content-length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body


def fleet(size: int) -> list[Machine]:
    return [Machine(number) for number in range(size)]


async def enrol_all(url: str, machines: Sequence[Machine]) -> None:
    """Put the machines into the database as if they had enrolled."""
    storage = Storage.open(url)
    now = datetime.now(UTC)
    for start in range(0, len(machines), 500):
        part = machines[start : start + 500]

        def work(tx: Transaction, part: Sequence[Machine] = part) -> None:
            for machine in part:
                tx.add_client(
                    NewClient(
                        uuid=machine.uuid.bytes,
                        name=f"m{machine.number}",
                        public_key=machine.key.public_key().public_bytes_raw(),
                        machine=sha256(machine.uuid.bytes).digest(),
                        site="main",
                        state=ClientState.ACTIVE,
                    ),
                    now=now,
                )
                tx.note(machine.uuid.hex)

        await storage.decide("bench", "machines.enrol", work, now=now)
    await storage.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    pid: int
    port: int
    authority: str
    ca: str
    started_s: float
    """Seconds from the start of the process to its first answer."""

    def memory_mb(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(match[1]) / 1024 if match else 0.0


@contextlib.contextmanager
def server(
    home: Path, *, database: str = "", port: str = "0", **settings: str
) -> Iterator[Running]:
    """Run a server until the block ends; it says its port on standard output."""
    arguments = ["--home", str(home), "--host", "127.0.0.1", "--port", port]
    arguments += ["--database", database] if database else []
    for name, value in settings.items():
        arguments += [f"--{name.replace('_', '-')}", value]
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "patchtide.entry.server", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{os.environ.get('PYTHONPATH', '')}"},
    )
    try:
        assert process.stdout is not None
        told = next(int(m[1]) for line in process.stdout if (m := re.search(r":(\d+)\s*$", line)))
        yield Running(
            pid=process.pid,
            port=told,
            authority=f"localhost:{told}",
            ca=str(home / "keys" / "site-ca.pem"),
            started_s=time.perf_counter() - began,
        )
    finally:
        process.terminate()
        process.wait(600)


def load(
    running: Running, requests: list[bytes], folder: Path, *, connections: int = CONNECTIONS
) -> float:
    """Send the requests from a process of its own; return the seconds it took.

    Raises:
        RuntimeError: some request was not answered with 2xx.
    """
    file = folder / "requests"
    file.write_bytes(msgspec.msgpack.encode(requests))
    return load_files(running, [file], requests=len(requests), connections=connections)


def load_files(
    running: Running, files: Sequence[Path], *, requests: int, connections: int = CONNECTIONS
) -> float:
    """Send what the files hold, as `load` does.

    Raises:
        RuntimeError: some request was not answered with 2xx.
    """
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(running.port)]
    command += ["--connections", str(connections), "--ca", running.ca]
    command += ["--requests", *map(str, files)]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout
    result = msgspec.json.decode(out)
    good = sum(n for status, n in result["answers"].items() if status.startswith("2"))
    if good != requests:
        raise RuntimeError(f"not all answered: {result['answers']}")
    return float(result["seconds"])


def prepare(home: Path, url: str, machines: Sequence[Machine]) -> None:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    asyncio.run(enrol_all(url, machines))
