"""A Debian changelog: the one place where an archive says which CVEs a version mends.

Neither the index nor the Release file names a CVE. A changelog names what its writer thought of,
so the list may lack some; the severity is the uploader's urgency and nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import takewhile

from patchtide.domain.catalog.details import Severity, UpdateDetails
from patchtide.domain.catalog.versions_deb import deb_key

MAX_DESCRIPTION = 8_000
_HEAD = re.compile(r"(?P<source>\S+) \((?P<version>[^)]+)\) [^;]*;(?P<keys>.*)")
_URGENCY = re.compile(r"urgency=(\w+)", re.IGNORECASE)
_CVE = re.compile(r"\bCVE-\d{4}-\d{4,7}\b")
_TAIL = re.compile(r" -- .*?>  ?(?P<date>.*)")
_URGENCIES = {
    "critical": Severity.CRITICAL,
    "emergency": Severity.CRITICAL,
    "high": Severity.IMPORTANT,
    "medium": Severity.MODERATE,
    "low": Severity.LOW,
}
_ORDER = (Severity.NONE, Severity.LOW, Severity.MODERATE, Severity.IMPORTANT, Severity.CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangelogEntry:
    """What one version brought."""

    source: str
    version: str
    severity: Severity
    cves: tuple[str, ...]
    text: str
    date: datetime | None


def read_changelog(text: str) -> Iterator[ChangelogEntry]:
    """Yield the entries, the newest first; one whose end was cut off is left out."""
    head: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.split("\n"):
        if found := _HEAD.fullmatch(line):
            head, lines = found, []
        elif head and (tail := _TAIL.match(line)):
            yield _entry(head, lines, tail["date"])
            head = None
        else:
            lines.append(line)


def _entry(head: re.Match[str], lines: Sequence[str], date: str) -> ChangelogEntry:
    text = "\n".join(lines).strip("\n")
    urgency = _URGENCY.search(head["keys"])
    return ChangelogEntry(
        source=head["source"],
        version=head["version"],
        severity=_URGENCIES.get(urgency[1].lower() if urgency else "", Severity.NONE),
        cves=tuple(dict.fromkeys(_CVE.findall(text))),
        text=text,
        date=_moment(date),
    )


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text.strip())
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def since(entries: Iterable[ChangelogEntry], version: str) -> list[ChangelogEntry]:
    """Return what came after that version, and at least the newest entry."""
    found = list(entries)
    after = takewhile(lambda entry: deb_key(version) < deb_key(entry.version), found)
    return list(after) or found[:1]


def described(details: UpdateDetails, entries: Sequence[ChangelogEntry]) -> UpdateDetails:
    """Return the details with what these entries tell. There is at least one."""
    text = "\n\n".join(f"{entry.source} {entry.version}\n{entry.text}" for entry in entries)
    return replace(
        details,
        description=f"{details.description}\n\n{text}"[:MAX_DESCRIPTION],
        cves=tuple(sorted({cve for entry in entries for cve in entry.cves}, key=_by_year)),
        severity=max((entry.severity for entry in entries), key=_ORDER.index),
        released=entries[0].date,
    )


def _by_year(cve: str) -> tuple[int, ...]:
    return tuple(int(part) for part in cve.split("-")[1:])
