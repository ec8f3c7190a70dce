"""What one condition of a query asks of a single value: texts, numbers, versions, addresses.

A test is made once and asked of every distinct value there is. What it looks for it also tells,
so that whoever has values in order need not ask it of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from patchtide.domain.catalog.rules import PackageFormat
from patchtide.domain.catalog.versions_deb import deb_key
from patchtide.domain.catalog.versions_rpm import plain_key, rpm_key
from patchtide.domain.catalog.versions_windows import product_key


class Version(NamedTuple):
    """A version, and by whose order it stands among others: of a format of packages, or none."""

    order: str
    text: str


Value = str | int | Version | None
At = tuple[int, int]
"""Where an address lies: its version, and its number."""
_ORDERS: Mapping[str, Callable[[str], object]] = {
    PackageFormat.DEB.value: deb_key,
    PackageFormat.RPM.value: rpm_key,
    PackageFormat.MSI.value: product_key,
}


@dataclass(frozen=True, slots=True)
class Fits:
    """Whether a value fits."""

    fits: Callable[[Value], bool]
    wanted: frozenset[str] | None = None
    """It is one of these texts, which are case-folded."""
    part: str = ""
    """It has this case-folded text in it."""
    spans: tuple[tuple[At, At], ...] = ()
    """It is an address within one of these, both ends among them."""

    def __call__(self, value: Value) -> bool:
        return self.fits(value)


HOLDS = Fits(bool)
IS_THERE = Fits(lambda value: value is not None)


def said(value: Value) -> str:
    """Return the value as people read it."""
    return value.text if isinstance(value, Version) else str(value)


def folded(value: Value) -> str:
    return said(value).casefold()


def contains(text: str) -> Fits:
    part = text.casefold()
    return Fits(lambda value: part in folded(value), part=part)


def equals_text(values: Sequence[str]) -> Fits:
    wanted = frozenset(value.casefold() for value in values)
    return Fits(lambda value: folded(value) in wanted, wanted=wanted)


def equals_number(values: Sequence[str]) -> Fits:
    numbers = frozenset(map(int, values))
    return Fits(lambda value: value in numbers)


def equals_version(values: Sequence[str]) -> Fits:
    """Fit what is none of them before or behind, whatever it is spelled like."""
    return Fits(lambda value: any(_place(value, bound) == 0 for bound in values))


def equals_address(values: Sequence[str]) -> Fits:
    """Fit these addresses, and all within these networks."""
    spans = tuple(_span(value) for value in values)

    def fits(value: Value) -> bool:
        at = place_of_address(value)
        return at is not None and any(low <= at <= high for low, high in spans)

    return Fits(fits, spans=spans)


def compared(
    bounds: Sequence[int], is_so: Callable[..., bool], key: Callable[[Value], int]
) -> Fits:
    return Fits(lambda value: is_so(key(value), *bounds))


def version_compared(bounds: Sequence[str], is_so: Callable[..., bool]) -> Fits:
    """Compare by the order that the value stands in: what has no place in it fits nothing."""

    def fits(value: Value) -> bool:
        places = [version_key(value, bound) for bound in (said(value), *bounds)]
        return None not in places and is_so(*places)

    return Fits(fits)


def version_key(like: Value, text: str) -> object:
    """Return the place of a version in the order that another one stands in."""
    order = like.order if isinstance(like, Version) else ""
    return _ORDERS.get(order, plain_key)(text)


def _place(value: Value, bound: str) -> int | None:
    one, other = version_key(value, said(value)), version_key(value, bound)
    if one is None or other is None:
        return None
    return 0 if one == other else 1


def spelled_address(text: str) -> str:
    """Return an address or a network in its short form.

    Raises:
        ValueError: it is neither.
    """
    if "/" in text:
        return str(ip_network(text, strict=False))
    return str(ip_address(text))


def _span(text: str) -> tuple[At, At]:
    network = ip_network(text, strict=False)
    kind = network.version
    return (kind, int(network.network_address)), (kind, int(network.broadcast_address))


def place_of_address(value: Value) -> At | None:
    """Return where an address lies; None: what a machine told is none."""
    try:
        found = ip_address(said(value).partition("/")[0])
    except ValueError:
        return None
    return found.version, int(found)
