"""A calendar as other programs read it: iCalendar (RFC 5545), every event told with its instants.

Each opening is an event of its own: a rule of recurrence could say neither a freeze nor what a
change of clocks does to a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid5

MEDIA_TYPE = "text/calendar; charset=utf-8"
_LINE = 75
"""Octets of a line at most, without what ends it."""
_ESCAPED = str.maketrans({"\\": r"\\", ";": r"\;", ",": r"\,", "\n": r"\n", "\r": ""})


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    begins: datetime
    ends: datetime
    title: str
    text: str


def icalendar(events: Iterable[Event], *, name: str, key: UUID, now: datetime) -> bytes:
    """Return them as one file; an event has the same id each time that it is told."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Patchtide//Maintenance windows//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{_text(name)}",
        "REFRESH-INTERVAL;VALUE=DURATION:PT6H",
        "X-PUBLISHED-TTL:PT6H",
    ]
    for event in events:
        lines += _lines(event, key, now)
    lines.append("END:VCALENDAR")
    return b"".join(part for line in lines for part in _folded(line))


def _lines(event: Event, key: UUID, now: datetime) -> list[str]:
    # Two of one name that begin together are one event in two forms.
    uid = uuid5(key, f"{event.title}\n{event.begins.isoformat()}")
    return [
        "BEGIN:VEVENT",
        f"UID:{uid}",
        f"DTSTAMP:{_instant(now)}",
        f"DTSTART:{_instant(event.begins)}",
        f"DTEND:{_instant(event.ends)}",
        f"SUMMARY:{_text(event.title)}",
        f"DESCRIPTION:{_text(event.text)}",
        "TRANSP:TRANSPARENT",
        "END:VEVENT",
    ]


def _instant(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(text: str) -> str:
    return text.translate(_ESCAPED)


def _folded(line: str) -> Iterator[bytes]:
    """Yield the line as bytes, none longer than it may be, and no sign torn apart."""
    part, length = "", 0
    for sign in line:
        size = len(sign.encode())
        if length + size > _LINE:
            yield part.encode() + b"\r\n"
            part, length = " ", 1
        part, length = part + sign, length + size
    yield part.encode() + b"\r\n"
