"""What a package says of itself: its name, version and architecture, read from its file alone.

No tool is run and nothing is unpacked to disk: of a Debian package the control file is read, of an
RPM its header. Both are bounded, whatever they say of their lengths.
"""

from __future__ import annotations

import io
import lzma
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import zstandard

from patchtide.domain.catalog.installers import InstallerKind
from patchtide.domain.errors import Refused

MAX_CONTROL = 4 << 20
"""Of the part that says what the package is, packed or not."""
_MAX_MEMBERS = 32
_AR, _AR_HEADER = b"!<arch>\n", 60
_LEAD, _MAGIC, _INDEX = 96, b"\x8e\xad\xe8\x01", 16
_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH = 1000, 1001, 1002, 1003, 1022
_INT32, _STRING = 4, 6
_FOR_ALL = frozenset({"all", "noarch"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a package is called by its own tool."""

    package: str
    version: str
    architecture: str
    """Empty: it is for all."""


def identity_of(path: Path, kind: InstallerKind) -> Identity | None:
    """Return what the file says of itself; of a program that is nothing.

    Raises:
        Refused: it is no such package.
        OSError
    """
    if kind is InstallerKind.PROGRAM:
        return None
    with path.open("rb") as file:
        try:
            return _deb(file) if kind is InstallerKind.DEB else _rpm(file)
        except (ValueError, KeyError, IndexError, EOFError, tarfile.TarError, lzma.LZMAError,
                zlib.error, zstandard.ZstdError) as error:  # fmt: skip
            name = "Debian package" if kind is InstallerKind.DEB else "RPM package"
            raise Refused(f"{path.name} is no {name}: {error or 'it ends too early'}") from error


def _deb(file: IO[bytes]) -> Identity:
    if file.read(len(_AR)) != _AR:
        raise ValueError("it does not begin like one")
    for _ in range(_MAX_MEMBERS):
        head = file.read(_AR_HEADER)
        if len(head) < _AR_HEADER:
            break
        name, size = head[:16].decode("ascii").strip().rstrip("/"), int(head[48:58])
        if name.startswith("control.tar"):
            return _control(_unpacked(file, size, name.removeprefix("control.tar")))
        file.seek(size + size % 2, io.SEEK_CUR)
    raise ValueError("it has no control file")


def _unpacked(file: IO[bytes], size: int, suffix: str) -> bytes:
    if size > MAX_CONTROL:
        raise ValueError("its control file is too large")
    packed = file.read(size)
    match suffix:
        case "":
            return packed
        case ".gz":
            return zlib.decompressobj(wbits=31).decompress(packed, MAX_CONTROL)
        case ".xz":
            return lzma.LZMADecompressor(memlimit=128 << 20).decompress(packed, MAX_CONTROL)
        case ".zst":
            with zstandard.ZstdDecompressor(max_window_size=8 << 20).stream_reader(packed) as read:
                return bytes(read.read(MAX_CONTROL))
        case _:
            raise ValueError(f"its control file is packed as {suffix[:8]}")


def _control(data: bytes) -> Identity:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for _ in range(_MAX_MEMBERS * 8):
            member = tar.next()
            if member is None:
                break
            if member.isreg() and member.name.removeprefix("./") == "control":
                inside = tar.extractfile(member)
                return _stanza(inside.read().decode("utf-8") if inside else "")
    raise ValueError("it has no control file")


def _stanza(text: str) -> Identity:
    lines = (line.partition(":") for line in text.split("\n") if line[:1].strip())
    said = {name.lower(): value.strip() for name, _, value in lines}
    return _identity(said["package"], said["version"], said["architecture"])


def _rpm(file: IO[bytes]) -> Identity:
    if file.read(_LEAD)[:4] != b"\xed\xab\xee\xdb":
        raise ValueError("it does not begin like one")
    _, signed = _header(file)
    file.seek(-signed % 8, io.SEEK_CUR)
    tags, _ = _header(file)
    epoch = f"{tags[_EPOCH]}:" if tags.get(_EPOCH) else ""
    version = f"{epoch}{tags[_VERSION]}-{tags[_RELEASE]}"
    return _identity(str(tags[_NAME]), version, str(tags[_ARCH]))


def _header(file: IO[bytes]) -> tuple[dict[int, str | int], int]:
    """Return the tags that matter, and how long the header's store is."""
    head = file.read(_INDEX)
    if head[:4] != _MAGIC:
        raise ValueError("it has no header")
    count, size = int.from_bytes(head[8:12]), int.from_bytes(head[12:16])
    if count * _INDEX > MAX_CONTROL or size > 4 * MAX_CONTROL:
        raise ValueError("its header is too large")
    index, store = file.read(count * _INDEX), file.read(size)
    wanted = {_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH}
    found: dict[int, str | int] = {}
    for at in range(0, len(index), _INDEX):
        tag, kind, offset = (int.from_bytes(index[at + n : at + n + 4]) for n in (0, 4, 8))
        if tag in wanted and kind == _STRING:
            found[tag] = store[offset : store.index(b"\0", offset)].decode("utf-8")
        elif tag in wanted and kind == _INT32:
            found[tag] = int.from_bytes(store[offset : offset + 4])
    return found, size


def _identity(package: str, version: str, architecture: str) -> Identity:
    is_for_all = architecture in _FOR_ALL
    return Identity(
        package=package, version=version, architecture="" if is_for_all else architecture
    )
