"""CSAF 2: the Common Security Advisory Framework, as far as it says something of an update."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from patchtide.domain.catalog.cvss import severity_of
from patchtide.domain.catalog.details import Severity
from patchtide.domain.catalog.enrichment import MAX_ID, MAX_TEXT, Advice

_Word = Annotated[str, Meta(max_length=512)]
_Text = Annotated[str, Meta(max_length=1 << 20)]
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")
_TOLD = ("summary", "general", "description")
_WORDS = {
    "critical": Severity.CRITICAL, "important": Severity.IMPORTANT, "high": Severity.IMPORTANT,
    "moderate": Severity.MODERATE, "medium": Severity.MODERATE, "low": Severity.LOW,
}  # fmt: skip


class _Note(Struct, frozen=True):
    category: _Word = ""
    text: _Text = ""


class _Aggregate(Struct, frozen=True):
    text: _Word = ""


_Notes = Annotated[tuple[_Note, ...], Meta(max_length=1_000)]


class _Tracking(Struct, frozen=True):
    id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
    status: Literal["draft", "final", "interim"]
    aliases: Annotated[tuple[_Word, ...], Meta(max_length=1_000)] = ()


class _Head(Struct, frozen=True):
    csaf_version: Literal["2.0", "2.1"]
    tracking: _Tracking
    title: _Text = ""
    notes: _Notes = ()
    aggregate_severity: _Aggregate = _Aggregate()


class _Cvss(Struct, frozen=True, rename={"score": "baseScore"}):
    score: float = 0.0


class _Score(Struct, frozen=True):
    cvss_v3: _Cvss = _Cvss()
    cvss_v4: _Cvss = _Cvss()


class _Vulnerability(Struct, frozen=True):
    cve: _Word = ""
    notes: _Notes = ()
    scores: Annotated[tuple[_Score, ...], Meta(max_length=10_000)] = ()


class _Document(Struct, frozen=True):
    document: _Head
    vulnerabilities: Annotated[tuple[_Vulnerability, ...], Meta(max_length=10_000)] = ()


_decoder = msgspec.json.Decoder(_Document)


def read_csaf(data: bytes) -> Advice | None:
    """Return what it says; None: it is a draft.

    Raises:
        msgspec.DecodeError: it is no such document, or beyond what one may hold.
    """
    said = _decoder.decode(data)
    head = said.document
    if head.tracking.status == "draft":
        return None
    names = (head.tracking.id, *head.tracking.aliases)
    cves = (vulnerability.cve for vulnerability in said.vulnerabilities)
    return Advice(
        ids=frozenset(name for name in names if 0 < len(name) <= MAX_ID),
        cves=frozenset(cve for cve in cves if _CVE.fullmatch(cve)),
        severity=_severity(said),
        text=_text(said),
    )


def _severity(said: _Document) -> Severity:
    word = _WORDS.get(said.document.aggregate_severity.text.lower())
    if word is not None:
        return word
    scores = (score for each in said.vulnerabilities for score in each.scores)
    return severity_of(max((max(s.cvss_v3.score, s.cvss_v4.score) for s in scores), default=0.0))


def _text(said: _Document) -> str:
    """Return the title, what the document says, or else what it says of each vulnerability."""
    head = said.document
    told = [note.text.strip() for note in head.notes if note.category in _TOLD]
    if not told:
        told = [
            f"{vulnerability.cve}: {note.text.strip()}"
            for vulnerability in said.vulnerabilities
            for note in vulnerability.notes
            if note.category in _TOLD
        ]
    return "\n\n".join(dict.fromkeys(part for part in (head.title, *told) if part))[:MAX_TEXT]
