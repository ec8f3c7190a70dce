"""Where RPM repositories are configured: the `.repo` files that dnf reads, under a system's root.

Only what says where a repository is and who may speak for it is read. What would weaken that
(`sslverify=0`, keys fetched from the network) is refused and not passed over in silence.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser, Error, SectionProxy
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from urllib.parse import unquote, urlsplit

from patchtide.adapters.feeds.errors import FeedNotSigned, FeedUnreachable, NoFeed
from patchtide.adapters.feeds.web import shown
from patchtide.domain.catalog.systems import has_minors

REPO_FOLDERS = ("etc/yum.repos.d", "etc/distro.repos.d")
_VARS = ("etc/yum/vars", "etc/dnf/vars")
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))")
_LINE = re.compile(r"^([A-Z_]+)=(.*)$", re.MULTILINE)
_NO, _YES = frozenset({"0", "no", "false", "off"}), frozenset({"1", "yes", "true", "on"})


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The operating system that the repositories are for."""

    os_id: str
    version: str
    """Its VERSION_ID."""
    name: str
    vendor: str
    architectures: tuple[str, ...]
    has_minors: bool
    """What is for 9 is for 9.4 too, as with Red Hat's; to SUSE 15.6 is a release of its own."""

    @property
    def release(self) -> str:
        """Return the part of the version that repositories go by."""
        return self.version.partition(".")[0] if self.has_minors else self.version

    @property
    def shard(self) -> str:
        return f"{self.os_id}-{self.release}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A repository for one architecture."""

    id: str
    architecture: str
    addresses: tuple[str, ...]
    """The same content at each; none: a list names mirrors."""
    mirror_list: str = ""
    metalink: str = ""
    keys: tuple[Path, ...]
    signed_index: bool
    """Its vendor signs the index (`repo_gpgcheck`); else every package (`gpgcheck`)."""
    user: str = ""
    password: str = ""
    account_for: tuple[str, ...] = ()
    """The addresses that the account is shown to."""
    ca: Path | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None

    @property
    def where(self) -> str:
        return f"{self.id} ({self.architecture})"


def read_system(root: Path) -> System:
    """Return what `etc/os-release` says.

    Raises:
        NoFeed: it does not say what system it is.
    """
    texts = (_text(root / name) for name in ("etc/os-release", "usr/lib/os-release"))
    said = {
        name: value.strip("'\"") for name, value in _LINE.findall(next(filter(None, texts), ""))
    }
    if not said.get("ID") or not said.get("VERSION_ID"):
        raise NoFeed(f"{root}/etc/os-release does not say which system the repositories are for")
    named = _variables(root).get("basearch", "").split()
    return System(
        os_id=said["ID"],
        version=said["VERSION_ID"],
        name=said.get("NAME", said["ID"]),
        vendor=said.get("VENDOR_NAME", said.get("NAME", said["ID"])),
        architectures=tuple(named) or (platform.machine(),),
        has_minors=has_minors(said["ID"], said.get("ID_LIKE", "").split()),
    )


def read_sources(root: Path, system: System) -> list[Source]:
    """Return the repositories that are switched on, each for every architecture.

    Raises:
        NoFeed: there is none.
        FeedNotSigned: nobody vouches for what one of them offers.
        FeedUnreachable: a file cannot be read, or an address is of a kind that is not.
    """
    variables = {"releasever": system.release, **_variables(root)}
    found: dict[tuple[str, str], Source] = {}
    for section, architecture in product(list(_sections(root)), system.architectures):
        source = _source(section, root, {**variables, **_of_architecture(architecture)})
        found[source.id, architecture] = source
    if not found:
        raise NoFeed(f"{root}/{REPO_FOLDERS[0]} has no repository that is switched on")
    return list(found.values())


def _of_architecture(architecture: str) -> Mapping[str, str]:
    return {"basearch": architecture, "arch": architecture}


def _sections(root: Path) -> Iterator[SectionProxy]:
    for folder in REPO_FOLDERS:
        for path in sorted((root / folder).glob("*.repo")):
            parser = ConfigParser(interpolation=None, strict=False)
            try:
                parser.read_string(path.read_text("utf-8", "replace"))
            except (OSError, Error) as error:
                raise FeedUnreachable(f"{path.name} cannot be read: {error}") from error
            for name in parser.sections():
                if name != "main" and parser[name].get("enabled", "1").lower() not in _NO:
                    yield parser[name]


def _source(section: SectionProxy, root: Path, variables: Mapping[str, str]) -> Source:
    def said(name: str) -> str:
        return _filled(section.get(name, ""), variables)

    name = section.name
    signed_index = said("repo_gpgcheck").lower() in _YES
    if not signed_index and said("gpgcheck").lower() in _NO:
        raise FeedNotSigned(f"{name}: with gpgcheck=0 nobody vouches for what it offers")
    if said("sslverify").lower() in _NO:
        raise FeedNotSigned(f"{name}: with sslverify=0 anybody may answer in its place")
    addresses = tuple(address.rstrip("/") for address in said("baseurl").replace(",", " ").split())
    lists = (said("mirrorlist"), said("metalink")) if not addresses else ("", "")
    _require_trust(name, (*addresses, *filter(None, lists)), signed_index=signed_index)
    if lists[0] and not lists[1] and not signed_index:
        raise FeedNotSigned(f"{name}: anybody may run a mirror, so it needs repo_gpgcheck=1")
    account = urlsplit(addresses[0] if addresses else "")
    own = account.netloc.rpartition("@")[0]
    alike = tuple(x for x in addresses if urlsplit(x).netloc.rpartition("@")[0] == own)
    return Source(
        id=name,
        architecture=variables["basearch"],
        addresses=addresses,
        mirror_list=lists[0] if not lists[1] else "",
        metalink=lists[1],
        keys=tuple(_key(word, root, name) for word in said("gpgkey").replace(",", " ").split()),
        signed_index=signed_index,
        user=said("username") or unquote(account.username or ""),
        password=said("password") or unquote(account.password or ""),
        account_for=addresses if said("username") else alike,
        ca=_file(said("sslcacert"), root),
        certificate=_file(said("sslclientcert"), root),
        certificate_key=_file(said("sslclientkey"), root),
    )


def _require_trust(name: str, addresses: Sequence[str], *, signed_index: bool) -> None:
    if not addresses:
        raise FeedUnreachable(f"{name} has no baseurl, metalink or mirrorlist")
    if strange := [x for x in addresses if urlsplit(x).scheme not in ("https", "http", "file")]:
        raise FeedUnreachable(f"{name}: {shown(strange[0])} is no https, http or file address")
    if not signed_index and (open_line := [x for x in addresses if x.startswith("http:")]):
        raise FeedNotSigned(
            f"{name}: {shown(open_line[0])} has neither a signed index (repo_gpgcheck=1) nor https"
        )


def _filled(text: str, variables: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda m: variables.get(m["braced"] or m["plain"], m[0]), text).strip()


def _key(word: str, root: Path, name: str) -> Path:
    if not word.startswith("file:///"):
        raise FeedNotSigned(f"{name}: a key is a file of the system, not {word[:80]}")
    return root / word.removeprefix("file:///")


def _file(text: str, root: Path) -> Path | None:
    return root / text.removeprefix("file://").lstrip("/") if text else None


def _variables(root: Path) -> dict[str, str]:
    paths = (path for folder in _VARS for path in sorted((root / folder).glob("*")))
    return {path.name: " ".join(_text(path).split()) for path in paths if path.is_file()}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
