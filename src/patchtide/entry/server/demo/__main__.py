"""`patchtide demo`: bring up a site with a simulated fleet on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import uvloop

from patchtide.domain.access.rights import ROLES
from patchtide.domain.errors import PatchtideError
from patchtide.entry.server.demo.folder import DemoFolder, Made
from patchtide.entry.server.demo.furnish import furnish
from patchtide.entry.server.demo.living import Living
from patchtide.entry.server.demo.releases import details_of, releases
from patchtide.entry.server.fleet_file import kept_view
from patchtide.entry.server.node import Server
from patchtide.entry.server.serving import running
from patchtide.entry.server.settings import ServerSettings, read_settings
from patchtide.server.api_tokens import issue
from patchtide.server.bootstrap import DONE
from patchtide.server.ports.decisions import Transaction
from patchtide.server.users import new_user

NAME = "admin"
HOST = "127.0.0.1"
FEWEST = 10
EXAMPLE = """Example:
  patchtide demo
  patchtide demo --machines 1000 --home /tmp/small --port 0

It listens on 127.0.0.1 alone, keeps everything in its folder and goes on from there the next time.
Delete the folder to begin anew.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    settings: ServerSettings
    machines: int
    updates: int
    as_json: bool


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="patchtide demo",
        description="Bring up a site with a simulated fleet, to click through. Ctrl-C ends it.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--home", type=Path, default=Path("var/demo"), help="its folder (var/demo)")
    made.add_argument("--port", type=int, default=8541, help="TLS port; 0 picks one (8541)")
    made.add_argument("--machines", type=int, default=10_000, help="how many (10000)")
    made.add_argument("--updates", type=int, default=480, help="how many, about (480)")
    made.add_argument("--json", action="store_true", help="say where it is as one line of JSON")
    return made


def _read(arguments: list[str]) -> Asked:
    made = parser()
    given = made.parse_args(arguments)
    if given.machines < FEWEST or given.updates < FEWEST:
        made.error(f"at least {FEWEST} machines and {FEWEST} updates")
    settings = ["--home", str(given.home), "--host", HOST, "--port", str(given.port)]
    return Asked(
        settings=read_settings(settings, {}),
        machines=given.machines,
        updates=given.updates,
        as_json=given.json,
    )


def main() -> int:
    os.umask(0o077)
    asked = _read(sys.argv[1:])
    try:
        with DemoFolder(asked.settings.home) as folder:
            uvloop.run(_demonstrate(asked, folder))
    except PatchtideError as error:
        sys.stderr.write(f"patchtide demo: {error.code}: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"patchtide demo: {error.strerror or error}\n")
        return 1
    except asyncio.CancelledError:
        sys.stderr.write("\nstopped before it was whole; the next run begins anew\n")
        return 130
    return 0


async def _demonstrate(asked: Asked, folder: DemoFolder) -> None:
    stop = asyncio.Event()
    making = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def end() -> None:
        stop.set()
        if folder.made is None and making is not None:
            making.cancel()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, end)
    made = folder.made
    if made is None:
        async with running(asked.settings) as server:
            made = await _make(server, asked)
        # What is dated back was heard of by nobody: whoever serves it reads it as a whole.
        kept_view(asked.settings.home).unlink(missing_ok=True)
        folder.finish(made)
    async with running(asked.settings) as server:
        living = await Living.begin(server, begun_at=made.at)
        going_on = asyncio.create_task(living.run())
        _greet(made, server, folder, as_json=asked.as_json)
        ended = asyncio.create_task(stop.wait())
        await asyncio.wait((going_on, ended), return_when=asyncio.FIRST_COMPLETED)
        for task in (going_on, ended):
            if not task.done():
                task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _make(server: Server, asked: Asked) -> Made:
    now = server.context.clock.now()
    details = list(map(details_of, releases(asked.updates, now=now)))
    await furnish(server, machines=asked.machines, details=details, past=True, say=_say(asked))
    password = secrets.token_urlsafe(12)
    hashed = await server.context.passwords.hashed(password, name=NAME)
    rights = ROLES["full-administrator"]
    user = new_user(NAME, rights=rights, password_hash=hashed, now=now, by="demo")
    token, issued = issue("demo", rights=rights, now=now, expires_at=None, by="demo")

    def work(tx: Transaction) -> None:
        tx.put_setting(DONE, b"1")
        tx.add_user(user)
        tx.note(user.id, name=user.name)

    def let_in(tx: Transaction) -> None:
        tx.add_api_token(token)
        tx.note(token.id, name=token.name)

    await server.storage.decide("demo", "users.create", work, now=now)
    await server.storage.decide("demo", "api-tokens.create", let_in, now=now)
    server.context.bootstrap_code.spent()
    return Made(at=now, machines=asked.machines, name=NAME, password=password, token=issued.token)


def _say(asked: Asked) -> Callable[[str], None]:
    def say(text: str) -> None:
        if not asked.as_json:
            sys.stderr.write(f"{text} ...\n")

    return say


def _greet(made: Made, server: Server, folder: DemoFolder, *, as_json: bool) -> None:
    url = f"https://{HOST}:{server.port}"
    ca = folder.path / "keys" / "site-ca.pem"
    environment = folder.lay_out(url, ca=ca, token=made.token)
    if as_json:
        document = {"url": f"{url}/", "name": made.name, "password": made.password}
        document["environment"] = str(environment)
        sys.stdout.write(json.dumps({**document, "machines": made.machines}) + "\n")
    else:
        lines = (
            f"Console   {url}/   (its certificate is this site's own: the browser warns)",
            f"Name      {made.name}",
            f"Password  {made.password}",
            f"Commands  . {environment}; patchtide overview",
            f"{made.machines} simulated machines report while you look. Ctrl-C ends it.",
        )
        sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
