"""rpm's database in one call of its own tool, read where it lies: no root's rights are needed.

rpm says nothing by its exit status of what it could not read: it prints the rest and complains.
So a complaint makes the whole answer none, and so does a database without a package, which rpm
makes by itself wherever it is asked for one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from patchtide.adapters.platforms.commands import CommandFailed, Finished, Run
from patchtide.adapters.platforms.onlooker import when

RPM = "/usr/bin/rpm"
FOLDERS = (Path("usr/lib/sysimage/rpm"), Path("var/lib/rpm"))
"""Where Fedora and SUSE have it now, and where everybody had it."""
_DATABASES = ("rpmdb.sqlite", "Packages.db", "Packages")
_LOGS = ("rpmdb.sqlite-wal",)
_FORMAT = "%{NAME}\\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\\t%{ARCH}\\t%{INSTALLTIME}\\n"
_OUTPUT_LIMIT = 64 << 20
_TIMEOUT_S = 120.0
_KEYS = "gpg-pubkey"
"""What rpm calls the keys that it keeps among the packages."""
_ANY = "noarch"
_OF_386 = re.compile(r"i[3-6]86|athlon|geode")
_OF_ARM = re.compile(r"armv[5-7].*")


class Installed(NamedTuple):
    """One installed instance. `version` is `[epoch:]version-release`."""

    name: str
    version: str
    architecture: str
    at: int
    """When it was installed, in seconds of the epoch."""


def database(root: Path) -> Path | None:
    """Return the folder of the system's database; one that a link has outside is none."""
    inside = root.resolve()
    for folder in FOLDERS:
        found = (root / folder).resolve()
        if found.is_relative_to(inside) and any((found / name).is_file() for name in _DATABASES):
            return found
    return None


def installed(root: Path, run: Run) -> list[Installed]:
    """Return every installed package of the system under `root`.

    Raises:
        CommandFailed: the database cannot be read whole; what is known of it is no answer.
    """
    status, said = query(root, run, "--all", f"--queryformat={_FORMAT}")
    if status != 0:
        raise CommandFailed(f"rpm ended with status {status}")
    found = list(rows(said))
    if not found:
        raise CommandFailed(f"rpm's database under {root} holds no package")
    return found


def query(root: Path, run: Run, *words: str) -> tuple[int, list[str]]:
    """Return rpm's exit status and what it says, line by line, when it is asked for packages.

    Raises:
        CommandFailed: not all that it should.
    """
    folder = database(root)
    if folder is None:
        raise CommandFailed(f"{root} holds no rpm database")
    # Whose signature a package bears was looked at when it came; here nobody asks.
    ended = run(
        [RPM, f"--dbpath={folder}", "--nosignature", "--query", *words],
        timeout_s=_TIMEOUT_S,
        output_limit=_OUTPUT_LIMIT,
    )
    if complaint := _complaint(ended):
        raise CommandFailed(f"rpm: {complaint}")
    return ended.status, ended.lines


def _complaint(ended: Finished) -> str:
    """Return why the output is no answer."""
    if ended.status < 0:
        return f"ended by signal {-ended.status}"
    if ended.truncated:
        return "its output has no end"
    return next((line for line in ended.complaints if line.startswith("error:")), "")


def rows(lines: Iterable[str]) -> Iterator[Installed]:
    """Yield what the lines name as installed.

    Raises:
        CommandFailed: a line is not what was asked for.
    """
    for line in lines:
        fields = line.split("\t")
        if len(fields) != 4 or not fields[3].isdecimal():
            raise CommandFailed(f"rpm: {line[:80]!r} is not what was asked for")
        name, version, architecture, at = fields
        if name != _KEYS:
            yield Installed(name, version.removeprefix("0:"), architecture, int(at))


def own_architecture(found: Sequence[Installed]) -> str | None:
    """Return what repositories call `$basearch` here: rpm's own, or else that of most packages."""
    named = Counter(row.architecture for row in found if row.architecture != _ANY)
    own = next((row.architecture for row in found if row.name == "rpm"), None)
    most = own or min(named, key=lambda name: (-named[name], name), default=None)
    return most and _base(most)


def _base(architecture: str) -> str:
    """Return the name of the architecture's family: the packages of i386 are called i686."""
    if _OF_386.fullmatch(architecture):
        return "i386"
    return "arm" if _OF_ARM.fullmatch(architecture) else architecture


def stamp(root: Path) -> tuple[object, ...]:
    """Return what is another thing whenever the database has changed.

    The log of an SQLite database counts while it holds something: rpm makes it anew at each look.
    """
    folder = database(root)
    if folder is None:
        return ()
    logs = (at for name in _LOGS if (at := when(folder / name)) and at[1])
    return (*(when(folder / name) for name in _DATABASES), *logs)
