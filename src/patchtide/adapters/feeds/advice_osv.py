"""OSV: the Open Source Vulnerability format, as far as it says something of an update."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from patchtide.domain.catalog.cvss import base_score, severity_of
from patchtide.domain.catalog.details import Severity
from patchtide.domain.catalog.enrichment import MAX_ID, MAX_TEXT, Advice, Fix

_Word = Annotated[str, Meta(max_length=512)]
_Words = Annotated[tuple[_Word, ...], Meta(max_length=5_000)]
_Text = Annotated[str, Meta(max_length=1 << 20)]
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")
_PREFIX = re.compile(r"(Critical|Important|Moderate|Low):", re.IGNORECASE)
_WORDS = {
    "critical": Severity.CRITICAL, "important": Severity.IMPORTANT, "high": Severity.IMPORTANT,
    "moderate": Severity.MODERATE, "medium": Severity.MODERATE, "low": Severity.LOW,
    "negligible": Severity.LOW, "untriaged": Severity.NONE,
}  # fmt: skip
_SYSTEMS = (
    (re.compile(r"(Debian|AlmaLinux|openEuler|Mageia):(\d+)"), "{0}-{1}"),
    (re.compile(r"Ubuntu:(\d+\.\d+)(?::LTS)?"), "ubuntu-{0}"),
    (re.compile(r"Rocky Linux:(\d+)"), "rocky-{0}"),
    (re.compile(r"Red Hat:enterprise_linux:(\d+)(?:\.\d+)?(?:::.*)?"), "rhel-{0}"),
    (re.compile(r"openSUSE:Leap (\d+\.\d+)"), "opensuse-leap-{0}"),
    (re.compile(r"SUSE:Linux Enterprise Server (\d+) SP(\d+)"), "sles-{0}.{1}"),
)


class _Package(Struct, frozen=True):
    ecosystem: _Word = ""
    name: _Word = ""


class _Event(Struct, frozen=True):
    fixed: _Word = ""


class _Range(Struct, frozen=True):
    events: Annotated[tuple[_Event, ...], Meta(max_length=1_000)] = ()


class _Severity(Struct, frozen=True):
    type: _Word = ""
    score: _Word = ""


class _Affected(Struct, frozen=True):
    package: _Package = _Package()
    ranges: Annotated[tuple[_Range, ...], Meta(max_length=1_000)] = ()


_Severities = Annotated[tuple[_Severity, ...], Meta(max_length=100)]


class _Document(Struct, frozen=True):
    id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
    modified: _Word
    aliases: _Words = ()
    upstream: _Words = ()
    related: _Words = ()
    summary: _Text = ""
    details: _Text = ""
    withdrawn: _Word = ""
    severity: _Severities = ()
    affected: Annotated[tuple[_Affected, ...], Meta(max_length=20_000)] = ()
    database_specific: Any = None


_decoder = msgspec.json.Decoder(_Document)


def read_osv(data: bytes) -> Advice | None:
    """Return what it says; None: it was taken back.

    Raises:
        msgspec.DecodeError: it is no such document, or beyond what one may hold.
    """
    said = _decoder.decode(data)
    if said.withdrawn:
        return None
    # An alias is another name of the same thing; what is upstream or related is what it mends.
    names = (said.id, *said.aliases)
    mended = (*names, *said.upstream, *said.related)
    return Advice(
        ids=frozenset(name for name in names if 0 < len(name) <= MAX_ID),
        cves=frozenset(each for each in mended if _CVE.fullmatch(each)),
        severity=_severity(said),
        text=_text(said),
        fixes=frozenset(_fixes(said)),
    )


def _text(said: _Document) -> str:
    parts = (part.strip() for part in (said.summary, said.details))
    return "\n".join(dict.fromkeys(part for part in parts if part))[:MAX_TEXT]


def _severity(said: _Document) -> Severity:
    """Return its vendor's own word for it, or what its vector comes to."""
    prefix = _PREFIX.match(said.summary)
    own = said.database_specific
    word = own.get("severity") if isinstance(own, dict) else None
    words = (word, prefix and prefix[1], *(s.score for s in said.severity))
    for each in words:
        if isinstance(each, str) and (known := _WORDS.get(each.lower())):
            return known
    scores = (base_score(severity.score) for severity in said.severity)
    return severity_of(max((s for s in scores if s is not None), default=0.0))


def _fixes(said: _Document) -> Iterator[Fix]:
    for affected in said.affected:
        shard = shard_of(affected.package.ecosystem)
        if shard:
            for events in (r.events for r in affected.ranges):
                yield from (Fix(shard, affected.package.name, e.fixed) for e in events if e.fixed)


def shard_of(ecosystem: str) -> str:
    """Return the shard of an ecosystem's operating system; empty: it is none that is known."""
    for pattern, form in _SYSTEMS:
        if found := pattern.fullmatch(ecosystem):
            return form.format(*found.groups()).lower()
    return ""
