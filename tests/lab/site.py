"""A site in a laboratory: a host of its own that runs the real server, and what stands there.

Its feed is what every host's apt has for sources: the mirror, signed by Debian. Administrators
work on the same host, by the command line.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from tests.lab.commands import ROOT, LabError
from tests.lab.host import Host
from tests.lab.laboratory import Lab, command_file

NAME = "updates"
HOME, HEARD = "/srv/patchtide", "/srv/heard"
PORT = 8540
KIT = "/opt/patchtide/kit"
SYNCHRONISATION_LIMIT_S = 120


class Site:
    """The server on its host. `url` is where machines find it."""

    def __init__(self, here: Lab) -> None:
        self.host: Host = here.host(
            NAME,
            binds={str(ROOT / "tests"): f"{KIT}/tests"},
            files={"/usr/local/bin/patchtide-heard": command_file("tests.lab.ear", KIT)},
        )
        self.url = f"https://{NAME}.lab:{PORT}"
        self._environment: list[str] = []
        self._heard = 0

    def open(self) -> None:
        """Start the server, claim it, and bring its catalog to where the mirror is."""
        names = ("--names", f"{NAME}.lab", "--burst", "1000")
        serve = ("patchtide-heard", HEARD, "--home", HOME, "--feed", "apt", *names)
        self.host.run("systemd-run", "--quiet", "--unit=patchtide", "--collect", *serve)
        code = self._await_file(f"{HOME}/bootstrap-code")
        self._environment = [
            f"PATCHTIDE_URL=https://localhost:{PORT}",
            f"PATCHTIDE_CA={HOME}/keys/site-ca.pem",
        ]
        claimed = self.ask("site", "bootstrap", "--code", code)
        self._environment.append(f"PATCHTIDE_TOKEN={claimed['token']}")

    def ask(self, *command: str) -> dict[str, Any]:
        """Ask the server as an administrator; return its answer."""
        said = self.host.run("env", *self._environment, "patchtide", *command, "--json")
        answer: dict[str, Any] = json.loads(said)
        return answer

    def heard(self) -> Sequence[dict[str, Any]]:
        """Return what machines have told since this was last asked."""
        lines = self.host.run("cat", HEARD).splitlines()
        fresh, self._heard = lines[self._heard :], len(lines)
        return [json.loads(line) for line in fresh]

    def await_catalog(self) -> dict[str, Any]:
        """Wait for the synchronisation that a server begins by itself; return how it went."""
        until = time.monotonic() + SYNCHRONISATION_LIMIT_S
        while time.monotonic() < until:
            runs = self.ask("catalog", "synchronisations")["items"]
            if runs and runs[0]["state"] != "running":
                last: dict[str, Any] = runs[0]
                return last
            time.sleep(0.5)
        raise LabError(f"the catalog is not there: {self.log()}")

    def log(self) -> str:
        return self.host.run("journalctl", "--unit=patchtide", "--no-pager")[-3000:]

    def _await_file(self, path: str) -> str:
        until = time.monotonic() + SYNCHRONISATION_LIMIT_S
        while time.monotonic() < until:
            found = self.host.attempt("cat", path)
            if not found.returncode and found.stdout.strip():
                return found.stdout.strip()
            time.sleep(0.2)
        raise LabError(f"the server does not start: {self.log()}")
