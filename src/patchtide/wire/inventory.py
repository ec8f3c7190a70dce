"""What the bodies of inventory lists hold: installed packages, and the machine beneath them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.wire.messages import Text, decode, encode

Count = Annotated[int, Meta(ge=0, lt=2**53)]
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


def hardware(found: HardwareV1) -> bytes:
    return encode(found)


def read_hardware(body: bytes) -> HardwareV1:
    """Return what a machine says of itself.

    Raises:
        InvalidDocument: this is no such description.
    """
    return decode(body, HardwareV1)


READERS: Mapping[str, Callable[[bytes], object]] = {
    "packages": read_package_list,
    "hardware": read_hardware,
}
"""What reads each kind's body; a body that its reader refuses is none of that kind."""

_rows: msgspec.msgpack.Decoder[tuple[PackageRowV1, ...]] = msgspec.msgpack.Decoder(
    Annotated[tuple[PackageRowV1, ...], Meta(max_length=MAX_PACKAGES)]
)
