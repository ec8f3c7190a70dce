"""The files of a definition: where they lie, what they are, and for which architecture."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from patchtide.adapters.publisher.fields import Part
from patchtide.adapters.publisher.marked import Row
from patchtide.adapters.publisher.packages import Identity
from patchtide.domain.catalog.installers import FILE_NAME, Installer, InstallerKind
from patchtide.domain.catalog.updates import LeafFile
from patchtide.domain.errors import PatchtideError

Measure = Callable[[str], tuple[bytes, int]]
"""SHA-256 and size of a file beside the definition, by its relative path."""
Identify = Callable[[str, InstallerKind], Identity | None]
"""What a file beside the definition says of itself; None: it says nothing."""

MAX_SIZE = (1 << 53) - 1
FILE_HINT = "write letters, digits and . _ + ~ ^ -; it has no folder and begins with no dot"
ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
_PATH_HINT = "write it from the definition's folder on, with slashes and without `..`"
_KEYS = ("path", "name", "package", "version", "architecture", "sha256", "size")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,127}", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.:~^_-]{0,127}", re.ASCII)
_PATH = re.compile(rf"({FILE_NAME.pattern}/){{0,8}}{FILE_NAME.pattern}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinedFile:
    file: LeafFile
    name: str
    """Of the file itself, which for a package is not what it is called."""
    architecture: str
    """Empty: it is for all that the update is for."""


def nobody_knows(path: str, kind: InstallerKind) -> Identity | None:
    """No file is looked into."""
    del path, kind
    return None


def read_files(
    part: Part, installer: Installer | None, measure: Measure, identify: Identify
) -> tuple[DefinedFile, ...]:
    """Return the files; what is wrong with them is noted."""
    fields, node = part.fields, part.said.get("files")
    if node is None:
        return ()
    found: dict[tuple[str, str], DefinedFile] = {}
    for member in fields.items(node):
        one = _file(Part(fields, member, _KEYS), installer, measure, identify)
        key = one.file.name, one.architecture
        if one.file.name and key in found:
            fields.refuse(member, f"`{one.file.name}` is here twice", "leave one of them out")
        found[key] = one
    if isinstance(node, Row) and not node.members:
        fields.refuse(node, "an update has at least one file", "name it by its path")
    if (
        installer
        and installer.program
        and installer.program not in {x.name for x in found.values()}
    ):
        what = f"no file is named {installer.program}, which is to be run"
        fields.refuse(node, what, "name it among the files")
    return tuple(found.values())


def _file(
    said: Part, installer: Installer | None, measure: Measure, identify: Identify
) -> DefinedFile:
    path = said.word("path", _PATH, "path within this folder", _PATH_HINT)
    name = said.word("name", FILE_NAME, "name of a file", FILE_HINT) or path.rpartition("/")[2]
    is_package = installer is not None and installer.kind is not InstallerKind.PROGRAM
    if installer and not is_package:
        said.refuse(("package", "version"), "is for packages")
    digest, size = _content(said, path, measure)
    known = _identity(said, path, installer, identify) if size else None
    if is_package and known is None:
        said.require(("package", "version"))
    package = _told(said, "package", _PACKAGE, "name of a package", known)
    version = _told(said, "version", _VERSION, "version", known)
    file = LeafFile(
        name=package if is_package else name, version=version, sha256=digest, size_bytes=size
    )
    architecture = _told(said, "architecture", ARCHITECTURE, "architecture", known)
    return DefinedFile(file=file, name=name, architecture=architecture)


def _identity(
    said: Part, path: str, installer: Installer | None, identify: Identify
) -> Identity | None:
    if not path or installer is None:
        return None
    try:
        return identify(path, installer.kind)
    except PatchtideError as error:
        hint = "take the package, or another kind of installer"
        said.fields.refuse(said.said["path"], str(error), hint)
        return None


def _told(said: Part, key: str, form: re.Pattern[str], what: str, known: Identity | None) -> str:
    """Return what is written, or what the package says; both have to be the same."""
    written = said.word(key, form, what, "write it as the package's tool does")
    if known is None:
        return written
    found = str(getattr(known, key))
    if key not in said.said:
        if found and not form.fullmatch(found):
            said.fields.refuse(said.node, f"the package has a {what} that cannot be used")
        return found
    if written and written != found:
        hint = "take the right file, or leave this out"
        what = f"the package's {what} is {found}" if found else "the package is for all of them"
        said.fields.refuse(said.said[key], what, hint)
    return found


def _content(said: Part, path: str, measure: Measure) -> tuple[bytes, int]:
    """Return digest and size: measured where the file lies here, and else as they are said."""
    fields = said.fields
    digest = bytes.fromhex(said.word("sha256", _SHA256, "SHA-256", "write 64 hex digits") or "")
    size = said.read("size", lambda node: fields.number(node, MAX_SIZE), None)
    if "path" not in said.said:
        said.require(("name", "sha256", "size"))
        return digest, size or 0
    if not path:
        return digest, 0
    try:
        measured = measure(path)
    except PatchtideError as error:
        fields.refuse(said.said["path"], str(error), "put the file there, or mend the path")
        return digest, 0
    for key, value, found in (("sha256", digest, measured[0]), ("size", size, measured[1])):
        if value and value != found:
            shown = found.hex() if isinstance(found, bytes) else found
            fields.refuse(said.said[key], f"the file's {key} is {shown}", "take the right file")
    return measured
