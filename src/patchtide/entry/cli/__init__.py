"""The command `patchtide`: hands over to the processes, or asks a server as an administrator.

`patchtide agent` must run where nothing but the bare package is installed, so nothing of the
server's is imported before that is decided.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

PROCESSES = {
    "agent": "patchtide.entry.agent",
    "demo": "patchtide.entry.server.demo",
    "serve": "patchtide.entry.server",
    "simulate": "patchtide.entry.simulator",
}
MISUSED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code (0 done, 1 refused, 2 misused, 3 no server)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in PROCESSES:
        become(PROCESSES[given[0]], given[1:])
    try:
        from patchtide.entry.cli.commands import run
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"This command needs {error.name}, which comes with patchtide[server].\n"
            "With the agent alone there is: patchtide agent --help\n"
        )
        return MISUSED
    return run(given)


def become(module: str, arguments: Sequence[str]) -> None:
    """Replace this process, so that signals and the exit code are the new one's own.

    `-P`: a module of the same name in the current folder must not be run in its place.
    """
    command = [sys.executable, "-P", "-m", module, *arguments]
    os.execv(sys.executable, command)  # noqa: S606 - an argument list, no shell
