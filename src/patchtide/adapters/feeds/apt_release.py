"""A suite's Release file, its signature verified before: what it is, until when, which indices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from patchtide.adapters.feeds.deb822 import stanzas
from patchtide.adapters.feeds.errors import FeedDamaged

_HASH = re.compile(r"\s*([0-9a-f]{64})\s+([0-9]{1,15})\s+(\S+)\s*")


class SuiteKind(StrEnum):
    """What a suite is for. Only what comes after the release is an update."""

    SECURITY = "security"
    UPDATES = "updates"
    RELEASE = "release"
    ASIDE = "aside"
    """Nothing of it is installed unless somebody asks for it by name: backports, proposals."""


_MARKS: Mapping[str, SuiteKind] = {
    "-security": SuiteKind.SECURITY,
    "/updates": SuiteKind.SECURITY,
    "-updates": SuiteKind.UPDATES,
}


@dataclass(frozen=True, slots=True)
class IndexHash:
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One suite of one vendor."""

    origin: str
    label: str
    codename: str
    """Of the release that the suite belongs to: `bookworm`, also for its updates."""
    suite: str
    version: str
    kind: SuiteKind
    date: datetime
    valid_until: datetime | None
    indices: Mapping[str, IndexHash]
    is_automatic: bool = True
    """apt installs from it unasked."""


def read_release(text: str) -> Release:
    """Return what a Release file says.

    Raises:
        FeedDamaged: it does not say what it must.
    """
    fields = next(stanzas(text), {})
    codename, kind = _kind(fields.get("codename", ""), fields.get("suite", ""))
    is_automatic = fields.get("notautomatic", "no").lower() != "yes"
    if not is_automatic:
        kind = SuiteKind.ASIDE
    return Release(
        origin=fields.get("origin", ""),
        label=fields.get("label", ""),
        codename=codename,
        suite=fields.get("suite", ""),
        version=fields.get("version", ""),
        kind=kind,
        date=_moment(fields.get("date", "")),
        valid_until=_moment(fields["valid-until"]) if "valid-until" in fields else None,
        indices=dict(_indices(fields.get("sha256", ""))),
        is_automatic=is_automatic,
    )


def _kind(codename: str, suite: str) -> tuple[str, SuiteKind]:
    """Debian marks the codename (`bookworm-security`), Ubuntu the suite (`jammy-security`)."""
    base = codename.partition("-")[0].partition("/")[0]
    for name in (codename, suite):
        if name.startswith(base) and name[len(base) :] in _MARKS:
            return base, _MARKS[name[len(base) :]]
    plain = "-" not in codename and "-" not in suite
    return base, SuiteKind.RELEASE if plain else SuiteKind.ASIDE


def _moment(text: str) -> datetime:
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise FeedDamaged(f"a Release file names no date: {text[:40]!r}") from error


def _indices(text: str) -> Iterator[tuple[str, IndexHash]]:
    for line in text.split("\n"):
        if found := _HASH.fullmatch(line):
            yield found[3], IndexHash(int(found[2]), found[1])
