"""The account of an apt source: it opens the archive, and stands in clear nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from patchtide.adapters.feeds.apt import AptFeed
from patchtide.adapters.platforms.commands import run
from patchtide.domain.catalog.selection import ANY_FEED, Choice, Selection
from patchtide.domain.errors import PatchtideError
from patchtide.wire.vendor_signatures import Ended
from tests.simulator.apt_repository import AptRepository, SigningKey, apt_folder, needs_apt
from tests.simulator.scripted_web import ScriptedWeb, says

pytestmark = needs_apt
SECURITY = "bookworm-security"
OPENS = "Basic am9lOnMzY3JldEBo"  # joe:s3cret@h
SHOWN_ELSEWHERE = "Basic YW5uOm90aGVy"
TWELVE: Selection = {ANY_FEED: Choice(products=frozenset({"Debian 12"}))}


class Site:
    """A feed whose source names an account, and all that the feed ever says or runs."""

    def __init__(self, folder: Path, key: SigningKey, web: ScriptedWeb) -> None:
        self.archive = AptRepository(folder=folder / "archive", key=key)
        changelog = (
            "toy (1.0-1) bookworm-security; urgency=high\n\n  * CVE-2026-0001\n\n -- T <t@t>"
        )
        self.archive.add(SECURITY, "toy", "1.0-1", changelog=f"{changelog}  {later():%c}\n")
        self.archive.publish(SECURITY, lives=None)
        self.web, self.folder, self.key = web, folder, key
        self.said: list[str] = []
        self.source("joe:s3cret%40h@")

    def source(self, account: str, *more: str) -> None:
        self.place = self.web.address.removeprefix("http://")
        option = f"[signed-by={self.key.keyring(self.folder / 'vendor.gpg')}]"
        lines = [f"deb {option} http://{account}{self.place} {SECURITY} main", *more]
        etc = apt_folder(self.folder / "etc", *lines)
        self.feed = AptFeed(self.folder / "feed", run=self.run, etc=etc, keyrings=self.folder)

    def run(self, arguments: Sequence[str], **how: object) -> Ended:
        self.said += arguments
        return run(arguments, **how)  # type: ignore[arg-type]

    def refused(self, now: datetime | None = None) -> None:
        with pytest.raises(PatchtideError) as error:
            self.feed.fetch()
            self.feed.read(now=now or datetime.now(UTC))
        self.said.append(str(error.value))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with SigningKey("vendor") as key, ScriptedWeb(tmp_path / "archive") as web:
        yield Site(tmp_path, key, web)


def test_an_account_opens_the_archive_and_is_told_nowhere(site: Site) -> None:
    web = site.web
    site.feed.fetch(TWELVE)
    content = site.feed.read(now=later())
    [update] = content.shards["debian-12"]
    [described] = site.feed.describe([update])
    tried = [site.feed.try_one(place) for place in site.feed.places()]
    site.said += [repr(content), content.note, repr(described), repr(tried)]
    asked = {headers.get("Authorization") for _, headers in web.asked}
    site.source("joe:s3cret%40h@", f"deb http://joe:s3cret@{site.place} lost main")
    site.refused()
    site.source("joe:s3cret%40h@")
    site.archive.publish(SECURITY)
    site.refused(now=later())
    web.paths[f"/dists/{SECURITY}/InRelease"] = says(b"", 302, Location="http://localhost:1/")
    site.refused()

    assert described.details.cves and tried[0].step is None and "days ago" in content.note
    assert asked == {OPENS}
    assert "leads elsewhere" in site.said[-1]
    assert not [text for text in site.said if "joe" in text or "s3cret" in text]
    holding = [p for p in (site.folder / "feed").rglob("*") if p.is_file() and b"s3cret" in read(p)]
    assert {p.name for p in holding} == {"netrc"}
    assert all(p.stat().st_mode & 0o077 == 0 for p in holding)


def later() -> datetime:
    return datetime.now(UTC) + timedelta(days=90)


def read(path: Path) -> bytes:
    return path.read_bytes()


def test_accounts_that_apt_has_in_a_file_of_its_own_count_on(site: Site) -> None:
    etc = apt_folder(site.folder / "etc")
    (etc / "auth.conf").write_text(f"machine http://{site.place} login ann password other\n")
    elsewhere = "deb http://joe:s3cret@elsewhere.invalid one main"
    site.source("", elsewhere)

    [ours, _] = site.feed.places()
    tried = site.feed.try_one(ours)

    assert tried.step is None
    assert site.web.asked[-1][1]["Authorization"] == SHOWN_ELSEWHERE
