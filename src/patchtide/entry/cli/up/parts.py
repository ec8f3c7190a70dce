"""The processes of a site: the server, and the agent of this machine. They end with this one."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from patchtide.adapters.agentstate.status import read_enrolment
from patchtide.adapters.platforms.commands import ENVIRONMENT, Running, run
from patchtide.adapters.trust.durable import write_durably
from patchtide.entry.cli.up.errors import NotFinished, PartEnded, PortTaken
from patchtide.entry.cli.up.home import Home

AGENT, SERVER = "patchtide.entry.agent", "patchtide.entry.server"
START_S, STOP_S, WORK_S = 60.0, 15.0, 900.0
_LOOK_S = 0.05
_ENDS_WITH_US = ("/usr/bin/setpriv", "--pdeathsig", "TERM", "--")
LOOPBACK = frozenset({"127.0.0.1", "::1"})
EVERYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - what is compared with, not listened on


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where the site listens, and the system that it looks at."""

    host: str
    port: int
    root: Path

    @property
    def address(self) -> str:
        """By which this machine itself gets there."""
        name = "127.0.0.1" if self.host in EVERYWHERE else self.host
        return f"[{name}]" if ":" in name else name

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def console(self) -> str:
        """By which people get there, from other machines too if it listens to them.

        By a name where there is one: browsers use no security key at an address of numbers.
        """
        if self.host in EVERYWHERE:
            return f"https://{socket.gethostname()}:{self.port}"
        return f"https://localhost:{self.port}" if self.host in LOOPBACK else self.url

    @property
    def platform(self) -> str:
        return "apt" if self.root == Path("/") else f"apt:{self.root.absolute()}"

    def check(self) -> None:
        """Raises PortTaken: somebody else listens there, or nobody may."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except (OSError, OverflowError) as error:
                raise self._error(error) from error

    def _error(self, error: OSError | OverflowError) -> PortTaken:
        another = f"choose another: --port {self.port + 1 if 1023 < self.port < 65535 else 8540}"
        match getattr(error, "errno", None):
            case errno.EADDRINUSE:
                who = f"ss -ltnp 'sport = :{self.port}' names it"
                return PortTaken(
                    f"port {self.port} is taken ({who}); end that process, or {another}"
                )
            case errno.EACCES:
                return PortTaken(f"port {self.port} needs root; {another}")
            case _:
                return PortTaken(f"cannot listen on {self.host}:{self.port} ({error}); {another}")


@dataclass(slots=True)
class Parts:
    """Use it with `with`: at the end none of them runs any more."""

    home: Home
    where: Where
    _running: list[Running] = field(default_factory=list, init=False)

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_: object) -> None:
        while self._running:
            self._running.pop().stop(patience_s=STOP_S)

    def start_server(self, answers: Callable[[], bool]) -> None:
        """Return when it answers.

        Raises:
            PartEnded: it does not.
        """
        where = self.where
        words = ("--home", self.home.path, "--host", where.host, "--port", where.port)
        names = () if where.host in EVERYWHERE else ("--names", where.host)
        server = self._start(SERVER, *words, *names, "--feed", where.platform)
        end = time.monotonic() + START_S
        while not (self.home.authority.exists() and answers()):
            self._check(server)
            if time.monotonic() > end:
                raise PartEnded(f"the server does not answer; see {server.log}")
            time.sleep(_LOOK_S)

    def start_agent(self) -> None:
        self._start(AGENT, "run", *self._agents_own(), *self._machine())

    def scan(self) -> None:
        """Have the agent check in, scan and report once. Raises NotFinished."""
        self._agent("once", *self._machine())

    def enrol(self, token: str) -> None:
        """Raises NotFinished."""
        file = self.home.path / "enrolment-token"
        write_durably(file, token.encode())
        try:
            words = ("--server", self.where.url, "--token-file", str(file))
            self._agent("enrol", *words, *self._machine())
        finally:
            file.unlink(missing_ok=True)

    def enrolled(self) -> tuple[str, str] | None:
        """Return the machine's id, and the address that it enrolled at; None: it has not."""
        kept = read_enrolment(self.home.agent / "identity")
        return None if kept is None else (str(UUID(bytes=kept.client)), kept.url)

    def _agent(self, command: str, *options: str) -> None:
        """When it failed, raise with its own word."""
        words = _python(AGENT, command, *options, *self._agents_own())
        ended = run(words, timeout_s=WORK_S, environment=_small())
        if ended.status != 0:
            why = next((line for line in ended.complaints if ":" in line), "it did not say why")
            raise NotFinished(f"the agent's {command} failed: {why}")

    def attend(self) -> None:
        """Wait for ever.

        Raises:
            PartEnded: one of them ended.
        """
        while True:
            for part in self._running:
                self._check(part)
            time.sleep(0.5)

    def _agents_own(self) -> tuple[str, ...]:
        return ("--state", str(self.home.agent))

    def _machine(self) -> tuple[str, ...]:
        file = self.where.root / "etc/machine-id"
        if not file.is_file() or not file.read_bytes().strip():
            file = self.home.machine_id()  # a container, or a system that was never started
        return ("--platform", self.where.platform, "--machine-id-file", str(file.absolute()))

    def _start(self, module: str, *words: object) -> Running:
        log = self.home.log(module.rpartition(".")[2])
        command = [*_leash(), *_python(module, *map(str, words))]
        made = Running(command, log=log, environment=_whole(), keep=self.home.lock)
        self._running.append(made)
        return made

    def _check(self, part: Running) -> None:
        if part.status is not None:
            see = "" if self.home.is_fresh else f" (see {part.log})"
            raise PartEnded(f"the {part.log.stem} ended: {_last_word(part.log)}{see}")


def _python(module: str, *words: str) -> list[str]:
    return [sys.executable, "-P", "-m", module, *words]


def _leash() -> Sequence[str]:
    """Have the kernel end a part when this process is killed."""
    return _ENDS_WITH_US if os.access(_ENDS_WITH_US[0], os.X_OK) else ()


def _whole() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("PATCHTIDE_")}


def _small() -> dict[str, str]:
    path = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    return {**ENVIRONMENT, **path}


def _last_word(log: Path) -> str:
    try:
        said = log.read_text("utf-8", "replace").strip()
    except OSError as error:
        return f"its log cannot be read ({error.strerror})"
    return said.rpartition("\n")[2].strip() or "it did not say why"
