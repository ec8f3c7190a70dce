"""The home folder of a site that `patchtide up` keeps: who holds it, and what is half done in it.

A fresh one carries a mark until its first administrator's token lies in it. What fails before that
is taken away again; what was killed before that is begun anew by the next run.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from patchtide.adapters.trust.durable import sync_folder, write_durably
from patchtide.domain.errors import PatchtideError
from patchtide.entry.cli.up.errors import AlreadyUp, DiskFull, HomeNotUsable

FIRST_NEED = 200 << 20
NEED = 16 << 20
"""What a home takes at first (lists and changelogs of a release), and what must always be free."""
REST_S = 20.0
_MARK, _LOCK, _LOGS, TOKEN = ".unfinished", "up.lock", "logs", "administrator-token"
_OURS = frozenset({_MARK, _LOCK, _LOGS})
_PRECIOUS = ("user_account", "client")
_SAID = b"This home of patchtide up is not finished; whatever lies beside this goes with it.\n"
_MIB = 1 << 20
_FEW = 100
_CURE = "Make room there, or choose another folder: --home DIR"
_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), "disk is full")


class Home:
    """Held by one run at a time; open it with `with`."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock = -1
        self._made = False

    def __enter__(self) -> Home:
        try:
            self._open()
        except (OSError, PatchtideError) as error:
            made = self._error(error) if isinstance(error, OSError) else error
            self._leave()
            raise made from error
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def lock(self) -> int:
        """The descriptor that holds the home; whoever inherits it holds it too."""
        return self._lock

    @property
    def authority(self) -> Path:
        return self.path / "keys/site-ca.pem"

    @property
    def code(self) -> Path:
        return self.path / "bootstrap-code"

    @property
    def database(self) -> Path:
        return self.path / "patchtide.db"

    @property
    def agent(self) -> Path:
        return self.path / "agent"

    @property
    def is_fresh(self) -> bool:
        """Nobody has used it yet. A token makes it finished, whether the mark is gone or not."""
        mark = self.path / _MARK
        return mark.is_file() and mark.read_bytes() == _SAID and not self.token()

    def log(self, name: str) -> Path:
        return self.path / _LOGS / f"{name}.log"

    def token(self) -> str:
        """Return the administrator's token; empty: there is none (yet)."""
        path = self.path / TOKEN
        return path.read_text("ascii").strip() if path.exists() else ""

    def keep_token(self, text: str) -> None:
        """From here on the home is finished."""
        write_durably(self.path / TOKEN, f"{text}\n".encode())
        (self.path / _MARK).unlink(missing_ok=True)
        sync_folder(self.path)

    def machine_id(self) -> Path:
        """Return the file of an id for a machine that has none."""
        path = self.path / "machine-id"
        if not path.exists():
            write_durably(path, f"{uuid4().hex}\n".encode())
        return path

    def say_who(self, url: str) -> None:
        """Tell whoever comes next what is up here."""
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()} {url}\n".encode(), 0)

    def abandon(self) -> None:
        """Take away what was made, as long as the home is not finished."""
        if not self.is_fresh:
            return
        self._empty()
        self._leave()

    def ran_full(self, why: str) -> DiskFull | None:
        """Return the error that all others come from, if it is this one."""
        try:
            there = os.statvfs(self.path)
        except OSError:
            return None
        free, files = there.f_bavail * there.f_frsize, there.f_favail if there.f_files else -1
        if free > _MIB and files and not any(mark in why for mark in _FULL):
            return None
        counted = f", room for {files} more files" if 0 <= files < _FEW else ""
        return DiskFull(
            f"the disk of {self.path} is full ({free // _MIB} MiB free{counted}). {_CURE}"
        )

    def _open(self) -> None:
        self._make()
        self._judge_owner()
        self._judge_content()
        self._take()
        if self.token() or self._is_used():
            # Whoever killed the run that finished it left the mark; a token may be moved later.
            (self.path / _MARK).unlink(missing_ok=True)
        if self.is_fresh:
            self._empty()  # a run that was killed left it so; nobody has ever used it
        names = self._names()
        need = NEED if names else FIRST_NEED
        if _free(self.path) < need:
            raise DiskFull(
                f"the disk of {self.path} has {_free(self.path) // _MIB} MiB free;"
                f" {need // _MIB} MiB are needed. {_CURE}"
            )
        if not names:
            write_durably(self.path / _MARK, _SAID)
        self.path.chmod(0o700)
        (self.path / _LOGS).mkdir(mode=0o700, exist_ok=True)

    def _make(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise HomeNotUsable(f"{self.path} is no folder; choose another: --home DIR")
        if not self.path.exists():
            self.path.mkdir(mode=0o700, parents=True)
            self._made = True

    def _judge_owner(self) -> None:
        owner = self.path.stat().st_uid
        if owner != os.geteuid():
            raise HomeNotUsable(
                f"{self.path} belongs to another user ({owner});"
                " run this as that one, or choose another folder: --home DIR"
            )

    def _judge_content(self) -> None:
        """Before anything is put there: what is refused stays as it was."""
        names = self._names()
        is_site = self.database.exists() or self.authority.exists()
        if names and not is_site and not self.is_fresh:
            raise HomeNotUsable(
                f"{self.path} holds other things ({', '.join(sorted(names)[:3])});"
                " choose a folder of its own: --home DIR"
            )

    def _names(self) -> set[str]:
        return {entry.name for entry in self.path.iterdir()} - _OURS

    def _is_used(self) -> bool:
        """Say whether the database knows a person or a machine; unless that is sure, it does."""
        if not self.database.exists():
            return False
        try:
            with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as opened:
                made = {name for (name,) in opened.execute("SELECT name FROM sqlite_master")}
                return any(
                    opened.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()  # noqa: S608
                    for table in _PRECIOUS
                    if table in made
                )
        except sqlite3.Error:
            return True

    def _take(self) -> None:
        self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        end = time.monotonic() + REST_S
        while True:
            try:
                return fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                pid, _, url = self._said_who()
                # Its parts hold the home a moment longer than a run that was killed.
                if _is_alive(pid) or time.monotonic() > end:
                    self.close()
                    where = f" at {url}" if url else ""
                    raise AlreadyUp(
                        f"{self.path} is up already{where} (process {pid or 'unknown'});"
                        " use it there, or end that process first"
                    ) from error
                time.sleep(0.05)

    def _said_who(self) -> tuple[str, str, str]:
        return os.pread(self._lock, 256, 0).decode("ascii", "replace").strip().partition(" ")

    def _leave(self) -> None:
        """Take what this run made of a home that it could not open; of another's, nothing."""
        if self._lock >= 0 and {entry.name for entry in self.path.iterdir()} <= _OURS:
            self._empty()
            for name in (_MARK, _LOCK):
                (self.path / name).unlink(missing_ok=True)
            if self._made:
                self.path.rmdir()
        self.close()

    def _empty(self) -> None:
        for entry in self.path.iterdir():
            if entry.name in (_MARK, _LOCK):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def _error(self, error: OSError) -> PatchtideError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return DiskFull(f"the disk of {self.path} is full. {_CURE}")
        return HomeNotUsable(
            f"{error.filename or self.path}: {error.strerror};"
            " choose a folder that you may write to: --home DIR"
        )


def _free(path: Path) -> int:
    there = os.statvfs(path)
    return there.f_bavail * there.f_frsize


def _is_alive(pid: str) -> bool:
    return pid.isdigit() and Path("/proc", pid).exists()
