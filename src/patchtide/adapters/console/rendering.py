"""Templates, shipped with the package and nothing else; everything put into them is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from jinja2 import BytecodeCache, Environment, PackageLoader, StrictUndefined

from patchtide.adapters.console import words
from patchtide.adapters.console.mistakes import field_in_words, sentence
from patchtide.adapters.console.pointing import pointed
from patchtide.adapters.console.static_files import StaticFiles
from patchtide.server.ports.clock import Clock

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))
_SIZES = ("bytes", "KiB", "MiB", "GiB", "TiB")
NARROW = "\N{NARROW NO-BREAK SPACE}"
BAR = 1000
"""How wide a bar is drawn, in units of its own."""
SLIVER = 12
"""A part that is there at all is seen."""


class Templates:
    def __init__(
        self,
        static: StaticFiles,
        clock: Clock,
        *,
        site: str,
        compiled: BytecodeCache | None = None,
    ) -> None:
        """`compiled` keeps what templates were compiled to, for others that render the same."""
        self._clock = clock
        self._environment = Environment(
            loader=PackageLoader("patchtide.adapters.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            bytecode_cache=compiled,
        )
        self._environment.globals.update(
            static=static.address, site=site, words=words, widths=widths, pointed=pointed
        )
        self._environment.filters.update(
            ago=lambda at: ago(at, self._clock.now()),
            ahead=lambda at: ahead(at, self._clock.now()),
            instant=instant,
            iso=lambda at: f"{at:%Y-%m-%dT%H:%M:%SZ}",
            number=number,
            percent=percent,
            size=size,
            counted=counted,
            every=every,
            put_off=put_off,
            sentence=sentence,
            field=field_in_words,
        )

    def render(self, template: str, context: Mapping[str, Any]) -> bytes:
        return self._environment.get_template(template).render(context).encode()


def ago(at: datetime | None, now: datetime) -> str:
    """Return how long ago that was, in one unit."""
    return "never" if at is None else _span(now - at, "{} ago", "just now")


def ahead(at: datetime, now: datetime) -> str:
    """Return how far ahead that is, in one unit."""
    return _span(at - now, "in {}", "in less than a minute")


def _span(length: timedelta, form: str, short: str) -> str:
    seconds = int(length / timedelta(seconds=1))
    for unit, unit_s in _UNITS:
        if seconds >= unit_s:
            return form.format(counted(seconds // unit_s, unit))
    return short


def counted(count: int, noun: str, plural: str = "") -> str:
    return f"{number(count)} {noun if count == 1 else plural or noun + 's'}"


def every(seconds: int) -> str:
    """Return how often that is, in the largest unit that says it exactly."""
    unit, unit_s = next((u for u in _UNITS if seconds % u[1] == 0), ("second", 1))
    count = seconds // unit_s
    return f"every {unit}" if count == 1 else f"every {counted(count, unit)}"


def put_off(times: int, hours: int) -> str:
    """Return how often, and for how long in all, something may be."""
    if not times or not hours:
        return "not at all"
    return f"{counted(times, 'time')}, {counted(hours, 'hour')} in all"


def instant(at: datetime | None) -> str:
    return "never" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def number(value: int) -> str:
    """Return the number with thin spaces, which read well and copy as spaces."""
    return f"{value:,}".replace(",", NARROW)


def percent(part: int, whole: int) -> str:
    """Return the share, never rounded up to all nor down to none."""
    if whole == 0:
        return "\N{EN DASH}"
    share = 100 * part / whole
    if 0 < share < 1:
        return f"<1{NARROW}%"
    if 99 < share < 100:
        return f">99{NARROW}%"
    return f"{share:.0f}{NARROW}%"


def size(value: int) -> str:
    amount, unit = float(value), 0
    while amount >= 1024 and unit < len(_SIZES) - 1:
        amount, unit = amount / 1024, unit + 1
    digits = 0 if amount >= 10 or unit == 0 else 1
    return f"{amount:.{digits}f} {_SIZES[unit]}"


def widths(parts: Sequence[tuple[str, int, str]]) -> Sequence[tuple[str, int, int]]:
    """Return where each part of a bar begins and how wide it is; none that exists is invisible."""
    whole = sum(count for _, count, _ in parts)
    there = [(name, count) for name, count, _ in parts if count]
    if not whole:
        return []
    spare = BAR - SLIVER * len(there)
    drawn, at = [], 0.0
    for name, count in there:
        width = SLIVER + spare * count / whole
        drawn.append((name, round(at), round(at + width) - round(at)))
        at += width
    return drawn
