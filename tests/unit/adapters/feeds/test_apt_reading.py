"""What apt's files say: sources in both forms, Release files, indices of packages."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO

import pytest

from patchtide.adapters.feeds.apt_lists import why_not_fetched
from patchtide.adapters.feeds.apt_packages import read_packages
from patchtide.adapters.feeds.apt_release import SuiteKind, read_release
from patchtide.adapters.feeds.apt_sources import Source, read_sources
from patchtide.adapters.feeds.errors import FeedDamaged, FeedNotSigned, FeedUnreachable
from patchtide.domain.errors import PatchtideError

SOURCES = {
    "a plain line": (
        "sources.list",
        "deb http://a/debian bookworm main",
        [Source("http://a/debian", "bookworm", entry="sources.list:1")],
    ),
    "options and a comment": (
        "x.list",
        ("# deb http://b s main\n"
        "deb [arch=amd64 signed-by=/k/a.gpg,/k/b.gpg check-valid-until=no] http://a s main # why"),
        [Source("http://a", "s", ("/k/a.gpg", "/k/b.gpg"), False, entry="x.list:2")],
    ),
    "a sharp among the options is no comment": (
        "x.list",
        "deb [ signed-by=/k/a#b.gpg trusted=yes ] http://a s main",
        [Source("http://a", "s", ("/k/a#b.gpg",), is_trusted=True, entry="x.list:1")],
    ),
    "sources and comments are no packages": ("x.list", "deb-src http://a s m\n# deb b s m", []),
    "a stanza is every address times every suite": (
        "x.sources",
        "# first\nTypes: deb deb-src\nURIs: http://a\n# between\n http://b\nSuites: s t\n",
        [Source(f"http://{host}", suite, entry="x.sources:1") for host in "ab" for suite in "st"],
    ),
    "stanzas are counted as apt counts them": (
        "x.sources",
        ("# no stanza\n\nTypes: deb\nURIs: http://a\nSuites: s\nEnabled: no\n\n\n"
        "# first\nTypes: deb\nURIs: http://b\nSuites: s\n"),
        [Source("http://b", "s", entry="x.sources:2")],
    ),
    "a stanza that is switched off": (
        "x.sources",
        "Types: deb\nURIs: http://a\nSuites: s\nEnabled: no\n",
        [],
    ),
    "a stanza of sources only": ("x.sources", "Types: deb-src\nURIs: http://a\nSuites: s\n", []),
}  # fmt: skip


@pytest.mark.parametrize(("name", "text", "expected"), SOURCES.values(), ids=SOURCES)
def test_sources(name: str, text: str, expected: list[Source]) -> None:
    assert read_sources({name: text}) == expected


def test_a_key_in_a_stanza_is_one_signer() -> None:
    key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ==\n -----END PGP PUBLIC KEY BLOCK-----"
    text = f"Types: deb\nURIs: http://a\nSuites: s\nSigned-By: \n {key}\n"

    (source,) = read_sources({"x.sources": text})

    assert source.signed_by[0].split("\n")[:3] == [key.split("\n")[0], "", "mQ=="]


KINDS = {
    ("bookworm", "stable"): ("bookworm", SuiteKind.RELEASE),
    ("bookworm-security", "stable-security"): ("bookworm", SuiteKind.SECURITY),
    ("bookworm-updates", "stable-updates"): ("bookworm", SuiteKind.UPDATES),
    ("bookworm-proposed-updates", "proposed-updates"): ("bookworm", SuiteKind.ASIDE),
    ("bookworm-backports", "stable-backports"): ("bookworm", SuiteKind.ASIDE),
    ("buster/updates", "oldoldstable"): ("buster", SuiteKind.SECURITY),
    ("jammy", "jammy"): ("jammy", SuiteKind.RELEASE),
    ("jammy", "jammy-security"): ("jammy", SuiteKind.SECURITY),
    ("jammy", "jammy-updates"): ("jammy", SuiteKind.UPDATES),
    ("jammy", "jammy-proposed"): ("jammy", SuiteKind.ASIDE),
}


@pytest.mark.parametrize(("names", "expected"), KINDS.items(), ids=map(" ".join, KINDS))
def test_what_a_suite_is_for(names: tuple[str, str], expected: tuple[str, SuiteKind]) -> None:
    text = f"Codename: {names[0]}\nSuite: {names[1]}\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n"

    release = read_release(text)

    assert (release.codename, release.kind) == expected


def test_what_is_not_installed_by_itself_is_no_update() -> None:
    text = "Codename: a-security\nNotAutomatic: yes\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n"

    assert read_release(text).kind is SuiteKind.ASIDE


def test_a_release_file_names_its_time_and_its_indices() -> None:
    text = (
        "Date: Sat, 11 Jul 2026 10:16:37 UTC\nValid-Until: Sat, 18 Jul 2026 10:16:37 UTC\n"
        f"MD5Sum:\n {'0' * 32} 9 main/Packages\nSHA256:\n {'a' * 64}   12 main/Packages\n"
    )

    release = read_release(text)

    assert release.date == datetime(2026, 7, 11, 10, 16, 37, tzinfo=UTC)
    assert release.valid_until == datetime(2026, 7, 18, 10, 16, 37, tzinfo=UTC)
    assert [(key, said.size_bytes) for key, said in release.indices.items()] == [
        ("main/Packages", 12)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Date: soon\n",
        "Codename: x\n",
        "Date: Fri, 31 Dec 9999 23:59:59 -1200\n",
        "Date: Sat, 11 Jul 2026 10:16:37 +99999999999999\n",
    ],
)
def test_a_release_file_without_a_date_is_damaged(text: str) -> None:
    with pytest.raises(FeedDamaged):
        read_release(text)


def test_a_size_without_an_end_names_no_index() -> None:
    text = (
        f"Date: Sat, 11 Jul 2026 10:16:37 UTC\nSHA256:\n {'a' * 64} {'9' * 5_000} main/Packages\n"
    )

    assert read_release(text).indices == {}


def a_stanza(**changes: str | None) -> str:
    fields: dict[str, str | None] = {
        "Package": "libtoy1", "Source": "toy (1.0-1)", "Version": "1.0-1+b2",
        "Architecture": "amd64", "Description": "toys", "Filename": "pool/t.deb", "Size": "12",
        "SHA256": "ab" * 32, **changes,
    }  # fmt: skip
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value is not None)


def test_a_binary_package_knows_its_source_and_that_ones_version() -> None:
    (package,) = read_packages(BytesIO(a_stanza().encode()))

    assert (package.name, package.version) == ("libtoy1", "1.0-1+b2")
    assert (package.source, package.source_version) == ("toy", "1.0-1")


def test_a_package_without_source_is_its_own() -> None:
    (package,) = read_packages(BytesIO(a_stanza(Source=None).encode()))

    assert (package.source, package.source_version) == ("libtoy1", "1.0-1+b2")


@pytest.mark.parametrize(
    "changes",
    [{"Version": None}, {"Size": "-1"}, {"SHA256": "zz"}, {"Filename": None}, {"Source": "("}],
    ids=str,
)
def test_a_stanza_that_is_not_whole_is_damaged(changes: dict[str, str | None]) -> None:
    with pytest.raises(FeedDamaged):
        list(read_packages(BytesIO(a_stanza(**changes).encode())))


def test_only_the_packages_asked_for_are_looked_into_wherever_the_name_stands() -> None:
    late = a_stanza(Package=None) + "Package: late\n"
    index = "\n".join([a_stanza(), "Package: broken\n", late])

    found = [p.name for p in read_packages(BytesIO(index.encode()), {"libtoy1", "late"})]

    assert found == ["libtoy1", "late"]


SAID: dict[str, tuple[str, type[PatchtideError]]] = {
    "E: Failed to fetch http://a/P  Hash Sum mismatch": ("hash", FeedDamaged),
    "W: GPG error: a: BADSIG 12\nE: The repository 'a' is not signed.": ("changed", FeedDamaged),
    "W: GPG error: a: NO_PUBKEY 12\nE: The repository 'a' is not signed.": ("key", FeedNotSigned),
    "E: The repository 'a' is not signed.": ("none", FeedNotSigned),
    "E: Failed to fetch http://a  Could not resolve 'a'": ("line", FeedUnreachable),
    "I: a\N{LINE SEPARATOR}E: The repository 'a' is not signed.": ("forged", FeedUnreachable),
    "": ("nothing", FeedUnreachable),
}


@pytest.mark.parametrize(
    ("said", "kind"), [(said, kind) for said, (_, kind) in SAID.items()],
    ids=[name for name, _ in SAID.values()],
)  # fmt: skip
def test_of_what_apt_says_one_error_is_made(said: str, kind: type[PatchtideError]) -> None:
    assert type(why_not_fetched(said)) is kind
