"""The RPM feed against real repositories: what it offers, and what it does not believe."""

from __future__ import annotations

import lzma
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from patchtide.adapters.feeds.errors import (
    FeedDamaged,
    FeedExpired,
    FeedNotSigned,
    FeedUnreachable,
    NoFeed,
)
from patchtide.adapters.feeds.rpm import RpmFeed
from patchtide.adapters.platforms.commands import run
from patchtide.adapters.platforms.rpm_vendors import RpmVendors
from patchtide.agent.vendors import VendorRefused
from patchtide.domain.applicability.evaluation import evaluate
from patchtide.domain.applicability.facts import Facts
from patchtide.domain.catalog.details import Classification, FeedUpdate, Severity
from patchtide.domain.catalog.updates import Restart
from patchtide.domain.errors import PatchtideError
from patchtide.server.ports.feed import FeedContent
from tests.simulator.apt_repository import SigningKey
from tests.simulator.rpm_repository import Rpm, RpmRepository, RpmSystem, Told, needs_rpm
from tests.simulator.scripted_web import ScriptedWeb, says

pytestmark = needs_rpm
OLD, NEW = Rpm("toy", "1.0-1.el9"), Rpm("toy", "1:1.1-1.el9")
KERNEL = Rpm("kernel-core", "5.14-2", provides=("installonlypkg(kernel)",))
NODE = Rpm("node", "18-1", module="nodejs:18:1:c0ffee")
GONE = Rpm("gone", "1-1")


@pytest.fixture(scope="module")
def keys() -> Iterator[tuple[SigningKey, SigningKey]]:
    with SigningKey("vendor") as vendor, SigningKey("stranger") as stranger:
        yield vendor, stranger


@pytest.fixture
def repository(tmp_path: Path, keys: tuple[SigningKey, SigningKey]) -> RpmRepository:
    made = RpmRepository(folder=tmp_path / "repository", key=keys[0])
    made.add(OLD, NEW, KERNEL, NODE)
    made.advisories = [
        Told(id="TOY-1", packages=(NEW, GONE), title="toy security update"),
        Told(id="TOY-2", packages=(KERNEL,), kind="bugfix", severity="", cves=(), restart=True),
        Told(id="TOY-3", modular=(("nodejs", "18", (NODE,)),), severity="Moderate"),
        Told(id="TOY-4", packages=(GONE,)),
    ]
    made.modules = [("nodejs", "18", [NODE])]
    made.publish()
    return made


class Reader:
    """A feed that reads the repository as a system of its vendor's would."""

    def __init__(self, folder: Path, repository: RpmRepository, key: SigningKey) -> None:
        self.system = RpmSystem(root=folder / "root")
        self.system.source("base", repository.uri, key)
        self.feed = RpmFeed(folder / "feed", run=run, root=self.system.root)

    def content(self) -> FeedContent:
        now = datetime.now(UTC)
        self.feed.fetch(now=now)
        return self.feed.read(now=now)

    def offers(self) -> dict[str, FeedUpdate]:
        updates = self.content().shards["toylinux-9"]
        return {update.details.vendor_id: update for update in updates}


@pytest.fixture
def reader(
    tmp_path: Path, repository: RpmRepository, keys: tuple[SigningKey, SigningKey]
) -> Reader:
    return Reader(tmp_path, repository, keys[0])


def test_an_update_is_an_advisory_with_the_packages_that_can_be_had(reader: Reader) -> None:
    offers = reader.offers()

    assert list(offers) == ["toylinux-9/TOY-1", "toylinux-9/TOY-2", "toylinux-9/TOY-3"]
    toy = offers["toylinux-9/TOY-1"]
    assert [(p.name, p.version) for p in toy.details.packages] == [("toy", "1:1.1-1.el9")]
    assert [(f.name, f.version) for f in toy.leaves[0].files] == [("toy", "1:1.1-1.el9")]
    assert toy.leaves[0].origin.text == "feed:toylinux-9"


def test_what_its_vendor_says_of_an_advisory_is_told(reader: Reader) -> None:
    offers = reader.offers()
    security, bugfix = offers["toylinux-9/TOY-1"], offers["toylinux-9/TOY-2"]

    assert security.details.title == "TOY-1 toy security update"
    assert security.details.classification is Classification.SECURITY
    assert security.details.severity is Severity.IMPORTANT
    assert security.details.cves == ("CVE-2026-12345",)
    assert security.details.released == datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert bugfix.details.classification is Classification.GENERAL
    assert (bugfix.details.severity, bugfix.details.cves) == (Severity.NONE, ())
    assert [u.leaves[0].restart for u in (security, bugfix)] == [Restart.NEVER, Restart.ALWAYS]


RELEASES = {
    'ID="rhel"\nVERSION_ID="9.4"': (
        "rhel-9", {"9": True, "9.10": True, "10.0": False, "8.9": False},
    ),
    'ID="fedora"\nVERSION_ID=42': ("fedora-42", {"42": True, "43": False}),
    'ID="opensuse-leap"\nVERSION_ID="15.6"\nID_LIKE="suse"': (
        "opensuse-leap-15.6", {"15.6": True, "15.5": False},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("said", "expected"), RELEASES.items())
def test_a_release_is_what_its_vendor_means_by_it(
    reader: Reader, said: str, expected: tuple[str, dict[str, bool]]
) -> None:
    (reader.system.root / "etc/os-release").write_text(said + "\n")
    shard, versions = expected

    (leaf, *_) = (update.leaves[0] for update in reader.content().shards[shard])

    system = shard.rpartition("-")[0]
    for version, fits in versions.items():
        facts = Facts(os_id=system, os_version=version, architecture="x86_64")
        assert evaluate(leaf.prerequisite, facts) is fits
    assert evaluate(leaf.prerequisite, Facts(os_id="debian", os_version=version)) is False


def test_a_file_is_known_by_the_hash_of_the_package_itself(
    reader: Reader, repository: RpmRepository
) -> None:
    (file,) = reader.offers()["toylinux-9/TOY-3"].leaves[0].files
    package = (repository.folder / "Packages/node-18-1.x86_64.rpm").read_bytes()

    assert (file.sha256, file.size_bytes) == (sha256(package).digest(), len(package))


@pytest.mark.parametrize("compressed", ["gz", "xz", "bz2"])
def test_every_compression_of_the_platforms_tools_is_read(
    reader: Reader, repository: RpmRepository, compressed: str
) -> None:
    offers = reader.offers()
    repository.publish(compressed=compressed)

    assert reader.offers() == offers


def test_what_one_repository_advises_another_may_offer(
    reader: Reader, repository: RpmRepository, keys: tuple[SigningKey, SigningKey]
) -> None:
    more = RpmRepository(folder=repository.folder.with_name("more"), key=keys[0])
    more.add(GONE)
    more.publish()
    reader.system.source("more", more.uri, keys[0])

    once = reader.offers()
    more.advisories = repository.advisories
    more.publish()
    twice = reader.offers()

    assert [file.name for file in once["toylinux-9/TOY-1"].leaves[0].files] == ["gone", "toy"]
    assert len(once) == 4 and twice == once


def test_reading_again_says_the_same_and_a_new_advisory_another_thing(
    reader: Reader, repository: RpmRepository
) -> None:
    first, again = reader.content(), reader.content()
    repository.advisories.append(Told(id="TOY-5", packages=(OLD,)))
    repository.publish()
    later = reader.content()

    assert first == again
    assert later.stamp != first.stamp and len(later.shards["toylinux-9"]) == 4


def test_over_the_network_only_what_changed_is_fetched(
    reader: Reader, repository: RpmRepository, keys: tuple[SigningKey, SigningKey]
) -> None:
    with ScriptedWeb(repository.folder) as web:
        reader.system.source("base", web.address, keys[0])
        first = reader.content()
        before, web.asked = web.asked, []
        again = reader.content()
        same, web.asked = web.asked, []
        repository.advisories.append(Told(id="TOY-5", packages=(OLD,)))
        repository.publish()
        later = reader.content()
        changed = [path for path, _ in web.asked if "repomd" not in path]

    assert first == again != later
    assert len(before) == 4 and [path for path, _ in same] == ["/repodata/repomd.xml"]
    assert same[0][1]["If-None-Match"] and len(changed) == 1 and "updateinfo" in changed[0]


def test_a_document_damaged_on_the_servers_disk_is_fetched_anew(
    reader: Reader, tmp_path: Path
) -> None:
    before = reader.content()
    [path] = (tmp_path / "feed").rglob("primary-*")
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])

    with pytest.raises(FeedDamaged, match="or was damaged here"):
        reader.content()
    assert reader.content() == before


def metalink(repository: RpmRepository, *addresses: str) -> bytes:
    digest = sha256((repository.repodata / "repomd.xml").read_bytes()).hexdigest()
    urls = "".join(f"<url protocol='http'>{x}/repodata/repomd.xml</url>" for x in addresses)
    hashes = f'<hash type="md5">0</hash><hash type="sha256">{digest}</hash>'
    return (
        f'<metalink version="3.0"><files><file name="repomd.xml"><verification>{hashes}'
        f"</verification><resources>{urls}</resources></file></files></metalink>"
    ).encode()


@pytest.mark.parametrize("kind", ["mirrorlist", "metalink"])
def test_of_several_mirrors_the_first_that_has_it_all_is_taken(
    reader: Reader, repository: RpmRepository, keys: tuple[SigningKey, SigningKey], kind: str
) -> None:
    direct = reader.offers()
    with ScriptedWeb(repository.folder) as web:
        places = (f"{web.address}/gone", web.address)
        text = "# mirrors\n" + "\n".join(places)
        found = text.encode() if kind == "mirrorlist" else metalink(repository, *places)
        web.paths["/list"] = says(found)
        where = {kind: f"{web.address}/list"}
        reader.system.source("base", "", keys[0], **where)
        told = reader.offers()

    assert list(told) == list(direct) and web.asked[1][0] == "/gone/repodata/repomd.xml"


def test_a_mirror_that_lags_behind_its_metalink_is_not_taken(
    reader: Reader, repository: RpmRepository, keys: tuple[SigningKey, SigningKey]
) -> None:
    with ScriptedWeb(repository.folder) as web:
        repository.publish("--revision=1")
        web.paths["/list"] = says(metalink(repository, web.address))
        repository.publish("--revision=2")
        reader.system.source("base", "", keys[0], metalink=f"{web.address}/list")

        with pytest.raises(FeedDamaged, match="metalink"):
            reader.content()


def test_accounts_are_in_no_error(reader: Reader) -> None:
    for address in ("http://me:secret@toys.invalid/x", "gopher://me:secret@toys.invalid/x"):
        reader.system.source("base", address)
        with pytest.raises(PatchtideError) as refused:
            reader.content()
        assert "secret" not in str(refused.value) and "toys.invalid" in str(refused.value)


def test_a_strangers_signature_is_none(
    reader: Reader, repository: RpmRepository, keys: tuple[SigningKey, SigningKey]
) -> None:
    repository.sign(keys[1])

    with pytest.raises(FeedNotSigned, match="unknown keys"):
        reader.content()


def missing(repository: RpmRepository) -> None:
    (repository.repodata / "repomd.xml.asc").unlink()


def changed(repository: RpmRepository) -> None:
    path = repository.repodata / "repomd.xml"
    path.write_bytes(path.read_bytes() + b"<!-- -->")


def other_advisories(repository: RpmRepository) -> None:
    path = repository.data("updateinfo")
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def longer(repository: RpmRepository) -> None:
    path = repository.data("primary")
    path.write_bytes(path.read_bytes() + b"!")


def renamed(repository: RpmRepository, href: str) -> None:
    repository.edit_index(f"repodata/{repository.data('primary').name}", href)


def bomb(repository: RpmRepository) -> None:
    """Fifty megabytes where the index says a few hundred bytes."""
    repository.put("updateinfo", lzma.compress(bytes(50 << 20)), ".xz", open_size=500)


HOSTILE: dict[str, tuple[Callable[[RpmRepository], None], type[PatchtideError]]] = {
    "an index without a signature": (missing, FeedNotSigned),
    "an index that was changed": (changed, FeedDamaged),
    "advisories that are not those of the index": (other_advisories, FeedDamaged),
    "packages that go on": (longer, FeedDamaged),
    "a place above": (lambda r: renamed(r, "repodata/../../secret"), FeedDamaged),
    "a place above, written otherwise": (lambda r: renamed(r, "a/%2e%2e/%2E%2E/x"), FeedDamaged),
    "a place from the top": (lambda r: renamed(r, "/etc/passwd"), FeedDamaged),
    "another host's place": (lambda r: renamed(r, "https://127.0.0.1/x.gz"), FeedDamaged),
    "a bomb": (bomb, FeedDamaged),
}


@pytest.mark.parametrize(("change", "error"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_wrong_is_refused_and_the_last_good_state_stays(
    reader: Reader,
    repository: RpmRepository,
    change: Callable[[RpmRepository], None],
    error: type[PatchtideError],
) -> None:
    before = reader.content()
    repository.advisories.append(Told(id="TOY-5", packages=(OLD,)))
    repository.add(GONE)
    repository.publish()
    change(repository)

    with pytest.raises(error):
        reader.content()
    if change is not bomb:  # which is found when it is unpacked, and then it is here
        assert reader.feed.read(now=datetime.now(UTC)) == before


def test_metadata_of_the_future_are_refused_and_old_ones_noted(reader: Reader) -> None:
    reader.content()
    now = datetime.now(UTC)

    with pytest.raises(FeedExpired):
        reader.feed.read(now=now - timedelta(days=1))
    assert "nothing newer came" in reader.feed.read(now=now + timedelta(days=90)).note


REFUSED: dict[str, tuple[dict[str, str], type[PatchtideError]]] = {
    "nobody vouches": ({"gpgcheck": "0"}, FeedNotSigned),
    "anybody may answer": ({"sslverify": "0", "gpgcheck": "1"}, FeedNotSigned),
    "an open line and no signed index": ({"baseurl": "http://toys.invalid"}, FeedNotSigned),
    "a key from the network": ({"gpgkey": "https://toys.invalid/key"}, FeedNotSigned),
    "no address": ({"baseurl": ""}, FeedUnreachable),
    "mirrors of anybody's": ({"baseurl": "", "mirrorlist": "https://toys.invalid"}, FeedNotSigned),
    "an open line to a metalink": (
        {"baseurl": "", "metalink": "http://toys.invalid"},
        FeedNotSigned,
    ),
    "another kind of address": ({"baseurl": "gopher://toys.invalid"}, FeedUnreachable),
    "switched off": ({"enabled": "0"}, NoFeed),
}


@pytest.mark.parametrize(("options", "error"), REFUSED.values(), ids=REFUSED)
def test_a_source_that_nobody_can_trust_is_refused(
    tmp_path: Path, options: dict[str, str], error: type[PatchtideError]
) -> None:
    system = RpmSystem(root=tmp_path / "root")
    system.source("base", "https://toys.invalid", **options)

    with pytest.raises(error):
        RpmFeed(tmp_path / "feed", run=run, root=system.root).fetch(now=datetime.now(UTC))


def test_a_key_that_is_not_at_hand_verifies_nothing(reader: Reader) -> None:
    (reader.system.root / "etc/pki/rpm-gpg/RPM-GPG-KEY-toys").unlink()

    with pytest.raises(FeedNotSigned):
        reader.content()


def test_a_machine_verifies_by_its_distributions_key_what_a_signed_repository_names(
    reader: Reader, repository: RpmRepository, keys: tuple[SigningKey, SigningKey], tmp_path: Path
) -> None:
    content = reader.content()
    [index] = content.vendors["toylinux-9"]
    lists = {each.key: each.read() for each in index.lists}
    assert {each.key: sha256(lists[each.key]).digest() for each in index.lists} == {
        each.key: each.sha256 for each in index.lists
    }
    folder = tmp_path / "machine/etc/pki/rpm-gpg"
    folder.mkdir(parents=True)
    (folder / "RPM-GPG-KEY-toylinux-9").write_text(keys[0].armoured())
    (folder / "RPM-GPG-KEY-elsewhere").write_text(keys[1].armoured())
    machine = RpmVendors("toylinux", "x86_64", root=tmp_path / "machine")
    signed, primary = index.signed.read(), "x86_64/primary.xml"
    files = {
        (f.name, f.version, f.sha256, f.size_bytes)
        for update in content.shards["toylinux-9"]
        for leaf in update.leaves
        for f in leaf.files
    }

    found = machine.read(signed, {key: lists[key] for key in lists if machine.wants(key)})

    assert files and files <= {(p.name, p.version, p.sha256, p.size_bytes) for p in found.packages}
    assert found.signature.index.startswith("repository revision ") and found.signature.keys
    repository.sign(keys[1])
    theirs = (repository.repodata / "repomd.xml.asc").read_bytes()
    apart = "x86_64/repomd.xml.asc"
    lies = {
        "another list": (signed, {**lists, primary: lists[primary].replace(b"toy", b"yot")}),
        "another index": (signed.replace(b"<size>", b"<size> "), lists),
        "a stranger's": (signed, {**lists, apart: theirs}),
        "no signature": (signed, {**lists, apart: b""}),
        "a part of it": (signed, {primary: lists[primary]}),
    }
    for name, lie in lies.items():
        with pytest.raises(VendorRefused):
            pytest.fail(f"{name}: {machine.read(*lie)}")


def test_what_a_vendor_does_not_sign_as_a_whole_is_not_kept_for_machines(
    tmp_path: Path, repository: RpmRepository
) -> None:
    system = RpmSystem(root=tmp_path / "root")
    system.source("base", repository.uri)
    feed, now = RpmFeed(tmp_path / "feed", run=run, root=system.root), datetime.now(UTC)
    feed.fetch(now=now)

    assert feed.read(now=now).vendors == {}
