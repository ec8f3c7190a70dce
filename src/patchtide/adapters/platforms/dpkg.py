"""dpkg's database in one call of its own tool, and what its words mean here.

A package that was unpacked and not configured (its script failed, or dpkg was ended) counts at
the version that last worked: otherwise a broken update would be reported as installed. One that was
never configured has never worked, so it is not installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from patchtide.adapters.platforms.commands import CommandFailed, Run
from patchtide.adapters.platforms.onlooker import Row, when

DPKG_QUERY = "/usr/bin/dpkg-query"
ADMIN_FOLDER = Path("var/lib/dpkg")
_FIELDS = ("Package", "Version", "Architecture", "db:Status-Abbrev", "Config-Version")
_FORMAT = "\\t".join(f"${{{field}}}" for field in _FIELDS) + "\\n"
_OUTPUT_LIMIT = 64 << 20
_TIMEOUT_S = 60.0
_CONFIGURED = frozenset("itW")
"""Installed, or with triggers of its own or of others still to run."""
_HALFWAY = frozenset("UFH")


def installed(root: Path, run: Run) -> list[Row]:
    """Return every installed package of the system under `root`.

    Raises:
        CommandFailed: the database cannot be read whole; what is known of it is no answer.
    """
    folder = root / ADMIN_FOLDER
    if not (folder / "status").is_file():
        raise CommandFailed(f"{folder} holds no package database")
    ended = run(
        [DPKG_QUERY, f"--admindir={folder}", "--show", f"--showformat={_FORMAT}"],
        timeout_s=_TIMEOUT_S,
        output_limit=_OUTPUT_LIMIT,
    )
    if ended.status != 0 or ended.truncated:
        said = ended.complaints
        raise CommandFailed(f"dpkg-query: {said[0] if said else 'its output has no end'}")
    return list(rows(ended.lines))


def rows(lines: Iterable[str]) -> Iterator[Row]:
    """Yield what the lines name as installed.

    Raises:
        CommandFailed: a line is not what was asked for.
    """
    for line in lines:
        fields = line.split("\t")
        if len(fields) != len(_FIELDS) or len(fields[3]) < 2:
            raise CommandFailed(f"dpkg-query: {line[:80]!r} is not what was asked for")
        name, version, architecture, status, configured = fields
        if status[1] in _CONFIGURED:
            yield name, version, architecture
        elif status[1] in _HALFWAY and configured:
            yield name, configured, architecture


def stamp(root: Path) -> tuple[object, ...]:
    """Return what is another thing whenever the database has changed."""
    folder = root / ADMIN_FOLDER
    return tuple(when(folder / name) for name in ("status", "updates"))
