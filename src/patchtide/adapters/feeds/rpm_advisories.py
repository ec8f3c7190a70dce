"""`updateinfo.xml`: a vendor's advisories, each with the packages that hold its fix."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from patchtide.adapters.feeds.errors import FeedDamaged
from patchtide.adapters.feeds.xml_stream import read_xml
from patchtide.domain.catalog.enrichment import MAX_CVES

MAX_ADVISORIES = 100_000
MAX_PACKAGES = 20_000
"""Of one advisory."""
_MAX_TEXT = 60_000
_LONGEST = 200
_MAX_ELEMENTS = 5_000_000
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")
_TAKEN_BACK = frozenset({"retracted", "pending", "testing", "obsolete"})
_YES = frozenset({"1", "true", "yes", ""})


@dataclass(frozen=True, slots=True, order=True)
class Module:
    """The stream of a module that packages belong to."""

    name: str
    stream: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvisedPackage:
    """A package in the version that holds the fix."""

    name: str
    architecture: str
    version: str
    """`[epoch:]version-release`"""
    module: Module | None = None
    restart: bool = False
    relogin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    id: str
    kind: str
    title: str
    severity: str
    description: str
    issued: datetime | None
    updated: datetime | None
    cves: tuple[str, ...]
    packages: tuple[AdvisedPackage, ...]
    restart: bool = False
    """Whatever is installed of it; some vendors say it of the whole, others of packages."""
    relogin: bool = False


def version_of(epoch: str | None, version: str, release: str) -> str:
    """Return a version as it is written everywhere here: no epoch where it is nought."""
    number = (epoch or "").lstrip("0")
    return f"{number}:{version}-{release}" if number else f"{version}-{release}"


def read_advisories(pieces: Iterable[bytes], *, name: str) -> list[Advisory]:
    """Return the advisories that their vendor stands by.

    Raises:
        FeedDamaged: it is no such document, or one of them lacks what it must have.
    """
    reader = _Reader(name)
    read_xml(pieces, reader, name=name, most=_MAX_ELEMENTS)
    return reader.found


_TEXTS = frozenset(
    {"id", "title", "severity", "description", "reboot_suggested", "relogin_suggested"}
)


@dataclass(slots=True)
class _Reader:
    name: str
    found: list[Advisory] = field(default_factory=list)
    _said: dict[str, str] = field(default_factory=dict)
    _cves: dict[str, None] = field(default_factory=dict)
    _packages: dict[AdvisedPackage, None] = field(default_factory=dict)
    _package: dict[str, str] | None = None
    _module: Module | None = None

    def opened(self, tag: str, attributes: dict[str, str]) -> bool:
        if tag == "package":
            self._package = attributes
            return False
        if tag in _TEXTS:
            return True
        match tag:
            case "update":
                self._said = {"type": attributes.get("type", "")}
                self._said["status"] = attributes.get("status", "")
                self._cves, self._packages, self._module = {}, {}, None
            case "issued" | "updated":
                self._said[tag] = attributes.get("date", "")
            case "reference":
                # Where a vendor refers to its bug tracker alone, the CVE stands in the title.
                words = f"{attributes.get('id', '')} {attributes.get('title', '')}"
                self._cves.update(dict.fromkeys(_CVE.findall(words)))
            case "collection":
                self._module = None
            case "module":
                self._module = Module(attributes.get("name", ""), attributes.get("stream", ""))
        return False

    def closed(self, tag: str, text: str) -> None:
        if tag in _TEXTS:
            if self._package is not None and tag.endswith("_suggested"):
                self._package[tag] = text.strip().lower()
            elif self._package is None:
                self._said.setdefault(tag, text.strip())
        elif tag == "package" and self._package is not None:
            self._packages[self._advised(self._package)] = None
            self._package = None
            if len(self._packages) > MAX_PACKAGES:
                raise FeedDamaged(f"{self.name}: {self._said.get('id')} names too many packages")
        elif tag == "update" and self._said.get("status", "") not in _TAKEN_BACK:
            self.found.append(self._advisory())
            if len(self.found) > MAX_ADVISORIES:
                raise FeedDamaged(f"{self.name} has more than {MAX_ADVISORIES} advisories")

    def _advised(self, said: dict[str, str]) -> AdvisedPackage:
        where = f"{self.name}: {self._said.get('id', '')[:_LONGEST]}"
        try:
            found = AdvisedPackage(
                name=said["name"],
                architecture=said["arch"],
                version=version_of(said.get("epoch"), said["version"], said["release"]),
                module=self._module,
                restart=said.get("reboot_suggested", "no") in _YES,
                relogin=said.get("relogin_suggested", "no") in _YES,
            )
        except KeyError as error:
            raise FeedDamaged(f"{where}: a package has no {error.args[0]}") from error
        module = found.module
        words = (found.name, found.architecture, found.version)
        if not all(map(_is_word, words + ((module.name, module.stream) if module else ()))):
            raise FeedDamaged(f"{where}: a package has a name or a version that none can have")
        return found

    def _advisory(self) -> Advisory:
        said = self._said
        if not _is_word(said.get("id", "")):
            raise FeedDamaged(f"{self.name}: an advisory has no id, or one that none can have")
        return Advisory(
            id=said["id"],
            kind=said["type"].lower(),
            title=said.get("title", ""),
            severity=said.get("severity", "").lower(),
            description=said.get("description", "")[:_MAX_TEXT],
            issued=moment(said.get("issued", "")),
            updated=moment(said.get("updated", "")),
            cves=tuple(sorted(self._cves)[:MAX_CVES]),
            packages=tuple(self._packages),
            restart=said.get("reboot_suggested", "no").lower() in _YES,
            relogin=said.get("relogin_suggested", "no").lower() in _YES,
        )


def _is_word(text: str) -> bool:
    return 0 < len(text) <= _LONGEST


def moment(text: str) -> datetime | None:
    """Return a date as vendors write it: ISO 8601, seconds since 1970, with a zone or in UTC."""
    try:
        if text.isdecimal():
            return datetime.fromtimestamp(int(text[:11]), UTC)
        found = datetime.fromisoformat(text.strip().removesuffix(" UTC"))
    except (ValueError, OverflowError):
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
