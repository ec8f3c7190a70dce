"""apt's own source lists, in both forms: which suites a machine follows, and who must sign them.

apt itself says which index files follow from them (`apt_lists`); from here comes what apt does
not tell: the keys, and whether a suite may be older than it says.

An account in an address is taken out as it is read: what is told, signed, kept or run with has
the address without it, and only apt is handed the two together, in a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from patchtide.adapters.feeds.deb822 import Stanza, stanzas
from patchtide.wire.vendor_signatures import ARMOUR

_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)")
_NO = frozenset({"no", "false", "without", "off", "disable", "0"})
_YES = frozenset({"yes", "true", "with", "on", "enable", "1"})
_ACCOUNT = re.compile(r"(?<=//)(?P<user>[^/\s:@]*)(?::(?P<password>[^/\s]*))?@")
_LOCAL = ("file:", "copy:", "cdrom:")


@dataclass(frozen=True, slots=True)
class Source:
    """One suite at one address, which is without the account that it may be written with.

    `signed_by` holds paths of keyrings, fingerprints, or one armoured key; none of them stands
    for every key that apt trusts.
    """

    uri: str
    suite: str
    signed_by: tuple[str, ...] = ()
    may_expire: bool = True
    """No: the administrator has said that this source may be older than its vendor allows."""
    is_trusted: bool = False
    """The administrator has said that this source needs no signature."""
    entry: str = ""
    """Where it is written, as apt says it: the file, and which line or stanza of it."""
    account: str = field(default="", repr=False)
    """What netrc(5) says behind the host; empty: nothing."""

    @property
    def is_local(self) -> bool:
        return self.uri.startswith(_LOCAL)

    @property
    def where(self) -> str:
        """Return how it is told."""
        return f"{self.uri} {self.suite}"

    @property
    def release_address(self) -> str:
        """Return where its signed Release file is; a name that ends in a slash is a folder's."""
        folder = self.suite.strip("/") if self.suite.endswith("/") else f"dists/{self.suite}"
        return "/".join(filter(None, (self.uri.rstrip("/"), folder, "InRelease")))


def without_account(text: str) -> str:
    """Return an address, or a text with addresses, without the accounts in them."""
    return _ACCOUNT.sub("", text)


def source_key(uri: str, suite: str) -> tuple[str, str]:
    """Return how a source is found again, whatever slashes it was written with."""
    return uri.replace(":///", ":/").rstrip("/"), suite.strip("/")


def read_sources(files: Mapping[str, str]) -> list[Source]:
    """Return the sources of binary packages in these files (name -> text)."""
    return [source for name, text in sorted(files.items()) for source in _of_file(name, text)]


def _of_file(name: str, text: str) -> Iterator[Source]:
    return _of_stanzas(name, text) if name.endswith(".sources") else _of_lines(name, text)


def _of_stanzas(name: str, text: str) -> Iterator[Source]:
    for number, stanza in enumerate(stanzas(text), 1):
        if stanza.get("enabled", "yes").lower() in _NO:
            continue
        if "deb" not in stanza.get("types", "").split():
            continue
        for uri in stanza.get("uris", "").split():
            for suite in stanza.get("suites", "").split():
                yield _source(uri, suite, stanza, entry=f"{name}:{number}")


def _of_lines(name: str, text: str) -> Iterator[Source]:
    for number, line in enumerate(text.split("\n"), 1):
        # A comment begins behind the suite; a sharp among the options is none.
        if found := _ONE_LINE.match(line.strip()):
            options = (found["options"] or "").split()
            named = dict(option.split("=", 1) for option in options if "=" in option)
            lower = {key.lower(): value for key, value in named.items()}
            yield _source(found["uri"], found["suite"], lower, entry=f"{name}:{number}")


def source_in_line(line: str) -> tuple[str, str] | None:
    """Return address and suite of a one-line entry; None: it is none."""
    found = _ONE_LINE.match(line.strip())
    return (without_account(found["uri"]), found["suite"]) if found else None


def _source(uri: str, suite: str, options: Stanza, *, entry: str) -> Source:
    return Source(
        uri=without_account(uri),
        suite=suite,
        signed_by=_signers(options.get("signed-by", "")),
        may_expire=options.get("check-valid-until", "yes").lower() not in _NO,
        is_trusted=options.get("trusted", "no").lower() in _YES,
        entry=entry,
        account=_account(uri),
    )


def _account(uri: str) -> str:
    found = _ACCOUNT.search(uri)
    if found is None:
        return ""
    return f"login {unquote(found['user'])} password {unquote(found['password'] or '')}"


def _signers(text: str) -> tuple[str, ...]:
    if ARMOUR in text:
        # In a stanza, an empty line of the armour is written as a lone dot.
        lines = (line.strip() for line in text.strip().split("\n"))
        return ("\n".join("" if line == "." else line for line in lines) + "\n",)
    return tuple(part for part in re.split(r"[,\s]+", text) if part)
