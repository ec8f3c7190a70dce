"""Facts of machines as queries ask for them, read from the lists that machines tell.

What changes by itself is none: no uptime, no clock, no counter is among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from patchtide.domain.catalog.queries import place_of
from patchtide.domain.catalog.query_tests import Value, Version
from patchtide.domain.collections.facts import Facts
from patchtide.domain.errors import InvalidDocument
from patchtide.wire.inventory import HardwareV1, package_rows, read_facts, read_hardware

LIST_OF_FACTS, HARDWARE, PACKAGES = "facts", "hardware", "packages"
KINDS = (LIST_OF_FACTS, HARDWARE, PACKAGES)
"""Facts first: they say by whose order the versions of the packages stand."""
PACKAGE = "package"
_GIB = 2**30
PLACES: Mapping[str, str] = {
    **dict.fromkeys(("os", "os-version", "language", "module"), LIST_OF_FACTS),
    **dict.fromkeys(
        ("system", "kernel", "arch", "host", "model", "processors", "memory", "address", "service"),
        HARDWARE,
    ),
}
"""By place of which list it is; whatever else there is is a package."""


def facts_in(kind: str, body: bytes, *, order: str = "") -> Facts:
    """Return the facts in a list; of one that would not be taken today, none."""
    try:
        match kind:
            case "hardware":
                return _told(_hardware(read_hardware(body)))
            case "packages":
                return _packages(package_rows(body), order)
            case _:
                return _told(_facts(body))
    except InvalidDocument:
        return {}


def changes_in(kind: str, was: bytes, now: bytes, *, order: str) -> tuple[Facts, Facts]:
    """Return the facts in two lists of a machine; where both say the same, nothing."""
    if kind == PACKAGES:
        try:
            before, after = package_rows(was), package_rows(now)
        except InvalidDocument:
            return facts_in(kind, was, order=order), facts_in(kind, now, order=order)
        names = {name for name, *_ in {*before} ^ {*after}}
        return (
            _packages((row for row in before if row[0] in names), order),
            _packages((row for row in after if row[0] in names), order),
        )
    return facts_in(kind, was, order=order), facts_in(kind, now, order=order)


def order_in(body: bytes) -> str:
    """Return of which format the packages are that go with these facts; empty: nobody can say."""
    try:
        formats = read_facts(body).package_formats
    except InvalidDocument:
        return ""
    return formats[0] if len(formats) == 1 else ""


def _told(facts: Mapping[str, Iterable[Value]]) -> Facts:
    found = {place: tuple(dict.fromkeys(values)) for place, values in facts.items()}
    return {place: values for place, values in found.items() if values}


def _hardware(said: HardwareV1) -> Mapping[str, Iterable[Value]]:
    return {
        "host": _text(said.host_name),
        "system": _text(said.system),
        "kernel": _version(said.kernel),
        "arch": _text(said.architecture),
        "model": _text(said.model),
        "processors": (said.processors,) if said.processors else (),
        # A machine tells a little less than it has, and after a new kernel another little.
        "memory": (round(said.memory_bytes / _GIB),) if said.memory_bytes else (),
        "address": said.addresses,
        "service": said.services,
    }


def _facts(body: bytes) -> Mapping[str, Iterable[Value]]:
    said = read_facts(body)
    return {
        "os": _text(said.os_id),
        "os-version": _version(said.os_version),
        "language": _text(said.language),
        "module": [f"{name}:{stream}" for name, stream in (said.modules or {}).items()],
    }


def _packages(rows: Iterable[tuple[str, str, str]], order: str) -> Facts:
    found: dict[str, tuple[Value, ...]] = {}
    for name, text, _ in rows:
        place, version = place_of(PACKAGE, name), Version(order, text)
        known = found.get(place)
        if known is None:
            found[place] = (version,)
        elif version not in known:
            found[place] = (*known, version)
    return found


def _text(text: str | None) -> tuple[str, ...]:
    return (text,) if text else ()


def _version(text: str | None) -> tuple[Version, ...]:
    return (Version("", text),) if text else ()
