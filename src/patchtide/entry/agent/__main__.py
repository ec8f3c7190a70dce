"""The agent's command line. Each command loads only what it needs; `run` needs next to nothing."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

DEFAULT_STATE = Path("/var/lib/patchtide/agent")
CONFIG = Path("/etc/patchtide/agent.toml")
MACHINE_ID = Path("/etc/machine-id")
DONE, REFUSED, MISUSED, UNREACHABLE = 0, 1, 2, 3
EXAMPLES = """\
examples:
  # enrol; the token comes from the server's administrator and is not kept
  patchtide agent enrol --server https://updates.example.org:8540 --token-file token.txt

  # stay, check in when it is time (SIGHUP: now), stop at SIGTERM
  patchtide agent run

  # check in, scan and report once; here for a machine that exists only as a file
  patchtide agent once --platform simulated:machine.json

  # what somebody decided, or installed, is to count now
  patchtide agent get-policy
  patchtide agent scan

  # what the agent knows
  patchtide agent status --json

  # why an update is required here or not: its number, its id, or part of a name
  patchtide agent explain openssl
  patchtide agent explain 1207 --json

  # and whether the vendor's own signature covers it; asks the server for what the vendor signed
  patchtide agent explain 1207 --verify

  # what is wrong with the agent, its way to the server or the machine, and what to do
  patchtide agent doctor

  # and mend what is safe to mend: the rights on the agent's own files, and its own service
  patchtide agent doctor --repair

exit status: 0 done, 1 refused or failed, 2 misused, 3 server not reached
"""
PLATFORM_HELP = (
    "what to look at: auto (default), this machine by the package tool that it has; apt or dnf,"
    " this machine by that tool; with :ROOT after it, a system in a folder;"
    " simulated:FILE, a JSON file that describes a machine"
)
_PLATFORM = re.compile(r"(auto|apt|dnf)(:.+)?|simulated:.+")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="patchtide agent",
        description="The agent of a managed machine.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_ in (
        ("run", "stay and work when it is time"),
        ("once", "check in, scan and report now, then end"),
        ("get-policy", "come for settings and orders now; the agent at work does it, if one is"),
        ("scan", "look for updates now and report; the agent at work does it, if one is"),
    ):
        command = _command(commands, name, help_)
        _add_platform(command)
        command.add_argument("--machine-id-file", type=Path, default=MACHINE_ID)
    enrol = _command(commands, "enrol", "get an identity from a server")
    enrol.add_argument("--server", required=True, metavar="URL", help="https://host:port")
    token = enrol.add_mutually_exclusive_group(required=True)
    token.add_argument("--token", help="the token; visible in lists of processes")
    token.add_argument("--token-file", help="a file with the token; - is standard input")
    enrol.add_argument("--name", default=os.uname().nodename, help="default: the host's name")
    enrol.add_argument("--machine-id-file", type=Path, default=MACHINE_ID)
    _add_platform(enrol)
    status = _command(commands, "status", "say what the agent knows")
    _add_platform(status)
    status.add_argument("--json", action="store_true", help="as JSON")
    doctor = _command(commands, "doctor", "say what is wrong and what to do; exit 1 if anything is")
    _add_platform(doctor)
    doctor.add_argument("--machine-id-file", type=Path, default=MACHINE_ID)
    doctor.add_argument("--json", action="store_true", help="as JSON")
    doctor.add_argument(
        "--repair", action="store_true", help="mend what is safe to mend first, and say what"
    )
    explain = _command(commands, "explain", "say why an update is required here, or is not")
    explain.add_argument("update", metavar="UPDATE", help="number, id, or part of a name")
    _add_platform(explain)
    explain.add_argument("--all", action="store_true", help="name packages that are not there too")
    explain.add_argument(
        "--verify",
        action="store_true",
        help="fetch what its vendor signed and verify that with this system's keys",
    )
    explain.add_argument("--json", action="store_true", help="as JSON, always everything")
    return made


def _add_platform(command: argparse.ArgumentParser) -> None:
    command.add_argument("--platform", default="auto", type=_platform, help=PLATFORM_HELP)


def _platform(text: str) -> str:
    if not _PLATFORM.fullmatch(text):
        raise argparse.ArgumentTypeError(f"no such platform: {text}; there are {PLATFORM_HELP}")
    return text


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help_: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=help_,
        description=help_.capitalize() + ".",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--state", type=Path, default=DEFAULT_STATE, help=f"state folder (default {DEFAULT_STATE})"
    )
    command.add_argument(
        "--config",
        type=Path,
        default=CONFIG,
        help=f"what was set for this machine, if there is such a file (default {CONFIG})",
    )
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    os.umask(0o077)
    asked = parser().parse_args(arguments)
    try:
        return _done(asked)
    except PermissionError as error:
        sys.stderr.write(f"{error.filename}: only root may; try again with sudo\n")
        return REFUSED


def _done(asked: argparse.Namespace) -> int:
    match asked.command:
        case "run" | "once":
            return _run(asked)
        case "get-policy" | "scan":
            from patchtide.entry.agent.asking import ask

            return ask(asked, _work_now)
        case "enrol":
            from patchtide.entry.agent.enrol import enrol

            return enrol(asked)
        case "explain":
            from patchtide.entry.agent.explain import show_explanation

            return show_explanation(asked)
        case "doctor":
            from patchtide.entry.agent.doctor import show_findings

            return show_findings(asked)
        case _:
            from patchtide.entry.agent.status import show_status

            return show_status(
                asked.state, platform=asked.platform, as_json=asked.json, config=asked.config
            )


def _run(asked: argparse.Namespace) -> int:
    from patchtide.entry.agent.loop import Loop, OtherInstance, only_instance
    from patchtide.entry.agent.owner import act_as_owner

    act_as_owner(asked.state)
    try:
        with only_instance(asked.state) as lock:
            loop = Loop(_options(asked), lock)
            return loop.run() if asked.command == "run" else loop.once()
    except OtherInstance:
        # Not an error: whoever started it wanted an agent to run, and one does.
        sys.stderr.write(f"an agent is already at work on {asked.state}; nothing done\n")
        return DONE


def _options(asked: argparse.Namespace) -> list[str]:
    names = ("state", "platform", "machine_id_file", "config")
    options = {f"--{n.replace('_', '-')}": str(getattr(asked, n)) for n in names}
    return [word for option in options.items() for word in option]


def _work_now(asked: argparse.Namespace) -> int:
    """Raises OtherInstance: the agent at work is to be asked."""
    from patchtide.entry.agent.loop import Loop, only_instance

    with only_instance(asked.state) as lock:
        return Loop(_options(asked), lock).once(scan=asked.command == "scan")


if __name__ == "__main__":
    sys.exit(main())
