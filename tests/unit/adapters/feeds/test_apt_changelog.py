"""What a changelog tells of an update."""

from __future__ import annotations

import pytest

from patchtide.adapters.feeds.apt_changelog import ChangelogEntry, read_changelog, since
from patchtide.domain.catalog.details import Severity

TAIL = " -- A <a@b>  Fri, 03 Apr 2026 14:29:32 +0200\n"


def read(text: str) -> list[ChangelogEntry]:
    return list(read_changelog(text))


def an_entry(version: str, line: str = "nothing", *, urgency: str = "urgency=low") -> str:
    return f"toy ({version}) bookworm-security; {urgency}\n\n  * {line}\n\n{TAIL}\n"


def test_an_entry_names_each_cve_once_and_nothing_that_only_looks_like_one() -> None:
    (entry,) = read(an_entry("1", "CVE-2026-1234, CVE-2026-1234, XCVE-2026-9999, CVE-26-1"))

    assert entry.cves == ("CVE-2026-1234",)


def test_a_number_without_an_end_is_no_cve() -> None:
    (entry,) = read(an_entry("1", f"CVE-2026-{'1' * 5_000} CVE-2026-1234567"))

    assert entry.cves == ("CVE-2026-1234567",)


DATES = {
    "what no calendar has": "Fri, 31 Dec 9999 23:59:59 -1200",
    "an offset without sense": "Fri, 03 Apr 2026 14:29:32 +99999999999999",
    "no date": "soon",
}


@pytest.mark.parametrize("date", DATES.values(), ids=DATES)
def test_an_entry_whose_date_is_none_says_the_rest(date: str) -> None:
    (entry,) = read(f"toy (1) s; urgency=low\n\n  * CVE-2026-1234\n\n -- A <a@b>  {date}\n")

    assert (entry.date, entry.cves) == (None, ("CVE-2026-1234",))


URGENCIES = {
    "urgency=emergency": Severity.CRITICAL,
    "urgency=HIGH": Severity.IMPORTANT,
    "urgency=medium; binary-only=yes": Severity.MODERATE,
    "urgency=low": Severity.LOW,
    "urgency=whatever": Severity.NONE,
    "": Severity.NONE,
}


@pytest.mark.parametrize(("urgency", "severity"), URGENCIES.items(), ids=URGENCIES)
def test_the_uploaders_urgency_is_the_severity(urgency: str, severity: Severity) -> None:
    (entry,) = read(an_entry("1", urgency=urgency))

    assert entry.severity is severity


SINCE = {
    "the release is older": ("1", ["3", "2"]),
    "the release has the same": ("3", ["3"]),
    "the release has passed it": ("4", ["3"]),
    "the release never had it": ("", ["3", "2", "1"]),
}


@pytest.mark.parametrize(("released", "versions"), SINCE.values(), ids=SINCE)
def test_an_update_brings_what_came_since_the_release(released: str, versions: list[str]) -> None:
    entries = read(an_entry("3") + an_entry("2") + an_entry("1"))

    assert [entry.version for entry in since(entries, released)] == versions


@pytest.mark.parametrize("text", ["", "no changelog at all\n", "toy (1) x; y\n\n  * cut of"])
def test_what_is_not_whole_is_no_entry(text: str) -> None:
    assert since(read(text), "") == []
