"""The folder of a demonstration: whose it is, and whether it was filled to the end."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from patchtide.adapters.trust.durable import write_durably
from patchtide.domain.errors import PatchtideError

_MARK, _MADE, _ENVIRONMENT = "demo.lock", "demo.json", "environment"


class DemoFolderNotUsable(PatchtideError):
    """The folder of the demonstration cannot be used."""

    code = "demo-folder-not-usable"


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What the second start goes on from."""

    at: datetime
    machines: int
    name: str
    password: str
    token: str


class DemoFolder:
    """Held by one run at a time; open it with `with`. What was not finished is made anew."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.made: Made | None = None
        self._lock = -1

    def __enter__(self) -> DemoFolder:
        mark = self.path / _MARK
        if self.path.exists() and not mark.is_file() and any(self.path.iterdir()):
            raise DemoFolderNotUsable(f"{self.path} holds something else; choose another --home")
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)
        self._lock = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise DemoFolderNotUsable(f"{self.path} is running already") from error
        self._look()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)

    def finish(self, made: Made) -> None:
        write_durably(self.path / _MADE, msgspec.json.encode(made))
        self.made = made

    def lay_out(self, url: str, *, ca: Path, token: str) -> Path:
        """Write what a shell reads before the command line is used; return the file."""
        said = {"PATCHTIDE_URL": url, "PATCHTIDE_CA": str(ca), "PATCHTIDE_TOKEN": token}
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in said.items()]
        commands = shlex.quote(str(Path(sys.executable).parent))
        lines.append(f'export PATH={commands}:"$PATH"\n')
        write_durably(self.path / _ENVIRONMENT, "".join(lines).encode())
        return self.path / _ENVIRONMENT

    def _look(self) -> None:
        made = self.path / _MADE
        if made.exists():
            # What an older version has made is made anew.
            with suppress(msgspec.DecodeError):
                self.made = msgspec.json.decode(made.read_bytes(), type=Made)
                return
        for path in self.path.iterdir():
            if path.name == _MARK:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
