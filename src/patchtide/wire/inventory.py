"""What the bodies of inventory lists hold: packages, the machine beneath them, facts for rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from patchtide.domain.applicability.facts import Answer, Asked, Facts, Packages
from patchtide.domain.catalog.rules import PackageFormat
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.wire.messages import Text, decode, encode

Count = Annotated[int, Meta(ge=0, lt=2**53)]
MAX_ANSWERS = 5_000
MAX_TEXT = 256
MAX_LONG_TEXT = 4_096
LongText = Annotated[str, Meta(max_length=MAX_LONG_TEXT)]
MAX_PACKAGES = 50_000
"""Ten times what a large system has. The decoder is asked first, before it makes a row."""
Names = Annotated[tuple[Text, ...], Meta(max_length=2_000)]
"""Addresses and services: a host of many containers has hundreds."""


class PackageRowV1(Struct, frozen=True, array_like=True, order=True):
    """One installed instance, as the machine's package tool names it."""

    name: Text
    version: Text
    architecture: Text


class HardwareV1(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """The machine as it is for days: nothing in it changes from one scan to the next by itself."""

    host_name: Text = ""
    system: Text = ""
    """As the operating system calls itself: `Debian GNU/Linux 12 (bookworm)`."""
    kernel: Text = ""
    architecture: Text = ""
    model: Text = ""
    processors: Count = 0
    memory_bytes: Count = 0
    addresses: Names = ()
    services: Names = ()
    """Those that start with the machine."""
    time_zone: Text = ""
    """Of its clock on the wall, as `Europe/Berlin`; empty: it does not say."""


class AnswerV1(Struct, frozen=True, array_like=True, order=True):
    """What the machine said to a fact that some rule asks for; no values: it is not there."""

    fact: Text
    keys: Annotated[tuple[Text, ...], Meta(max_length=4)]
    values: Annotated[tuple[LongText, ...], Meta(max_length=16)]


class FactsV1(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """The facts that the last scan went by, but for the packages: they have a list of their own."""

    os_id: Text | None = None
    os_version: Text | None = None
    architecture: Text | None = None
    modules: Annotated[dict[Text, Text], Meta(max_length=2_000)] | None = None
    language: Text | None = None
    kernel: Text | None = None
    package_formats: Annotated[tuple[Text, ...], Meta(max_length=8)] = ()
    """Whose database the list of packages is; more than one: nobody can say which row is whose."""
    answers: Annotated[tuple[AnswerV1, ...], Meta(max_length=MAX_ANSWERS)] = ()


def package_list(rows: Iterable[tuple[str, str, str]]) -> bytes:
    return msgspec.msgpack.encode(sorted(rows))


def read_package_list(body: bytes) -> Sequence[PackageRowV1]:
    """Return the rows.

    Raises:
        InvalidDocument: this is no list of packages.
    """
    try:
        return _rows.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidDocument([Problem("packages", str(error))]) from error


def package_rows(body: bytes) -> Sequence[tuple[str, str, str]]:
    """Return the rows as name, version, architecture: the quicker form, for very many lists.

    Raises:
        InvalidDocument: this is no list of packages.
    """
    try:
        return _plain_rows.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidDocument([Problem("packages", str(error))]) from error


def hardware(found: HardwareV1) -> bytes:
    return encode(found)


def read_hardware(body: bytes) -> HardwareV1:
    """Return what a machine says of itself.

    Raises:
        InvalidDocument: this is no such description.
    """
    return decode(body, HardwareV1)


def facts_list(facts: Facts) -> bytes:
    """Return the facts without the packages; what is too long to be told counts as untold."""
    answers = (
        AnswerV1(asked.fact, asked.keys, said)
        for asked, said in facts.answers.items()
        if _fits(*asked.keys) and _fits(*said, at_most=MAX_LONG_TEXT)
    )
    modules = facts.modules
    return encode(
        FactsV1(
            os_id=_told(facts.os_id),
            os_version=_told(facts.os_version),
            architecture=_told(facts.architecture),
            modules=None if modules is None else dict(sorted(modules.items())),
            language=_told(facts.language),
            kernel=_told(facts.kernel),
            package_formats=tuple(sorted(kind.value for kind in facts.packages)),
            answers=tuple(sorted(answers)[:MAX_ANSWERS]),
        )
    )


def _told(text: str | None) -> str | None:
    return text if text is not None and _fits(text) else None


def _fits(*texts: str, at_most: int = MAX_TEXT) -> bool:
    return all(len(text) <= at_most for text in texts)


def read_facts(body: bytes) -> FactsV1:
    """Return what a machine's rules were asked of.

    Raises:
        InvalidDocument: these are no facts.
    """
    return decode(body, FactsV1)


def facts_of(said: FactsV1, packages: Packages | None) -> Facts:
    """Return the facts; without a list of packages nothing is known of any."""
    format = _FORMATS.get(said.package_formats[0]) if len(said.package_formats) == 1 else None
    answers: dict[Asked, Answer] = {Asked(a.fact, a.keys): a.values for a in said.answers}
    return Facts(
        os_id=said.os_id,
        os_version=said.os_version,
        architecture=said.architecture,
        modules=said.modules,
        language=said.language,
        kernel=said.kernel,
        packages={} if format is None or packages is None else {format: packages},
        answers=answers,
    )


_FORMATS: Mapping[str, PackageFormat] = {member.value: member for member in PackageFormat}
READERS: Mapping[str, Callable[[bytes], object]] = {
    "packages": read_package_list,
    "hardware": read_hardware,
    "facts": read_facts,
}
"""What reads each kind's body; a body that its reader refuses is none of that kind."""

_rows: msgspec.msgpack.Decoder[tuple[PackageRowV1, ...]] = msgspec.msgpack.Decoder(
    Annotated[tuple[PackageRowV1, ...], Meta(max_length=MAX_PACKAGES)]
)
_plain_rows: msgspec.msgpack.Decoder[tuple[tuple[str, str, str], ...]] = msgspec.msgpack.Decoder(
    Annotated[tuple[tuple[Text, Text, Text], ...], Meta(max_length=MAX_PACKAGES)]
)
