"""The publisher's side, as agents see it: TrustRepository served to TrustClient."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from securesystemslib.signer import CryptoSigner

from patchtide.adapters.trust.client import TrustClient
from patchtide.adapters.trust.drafts import NotSigned, sign_draft
from patchtide.adapters.trust.keys import KeyFolder, KeysElsewhere
from patchtide.adapters.trust.layout import LIFE, TIMESTAMP
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.agent.ports.trust import MetadataExpired, TargetAbsent
from patchtide.domain.errors import Refused
from patchtide.entry.agent.trust_cli import PlainGetter
from tests.simulator.signing import change_keys, first_root, keys_on_server
from tests.simulator.tuf_repository import START


class Quiet(SimpleHTTPRequestHandler):
    def __init__(self, *args: object, requests: list[str], **options: object) -> None:
        self._requests = requests
        super().__init__(*args, **options)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self._requests.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@contextmanager
def served(folder: Path, requests: list[str]) -> Iterator[str]:
    handler = partial(Quiet, directory=str(folder), requests=requests)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def repository(tmp_path: Path) -> TrustRepository:
    made = TrustRepository(tmp_path / "repository", KeyFolder(tmp_path / "keys"))
    made.create(START)
    return made


@pytest.fixture
def requests() -> list[str]:
    return []


@pytest.fixture
def client(
    tmp_path: Path, repository: TrustRepository, requests: list[str]
) -> Iterator[TrustClient]:
    with ExitStack() as stack:
        base = stack.enter_context(served(tmp_path / "repository", requests))
        made = TrustClient(
            tmp_path / "agent",
            first_root(repository),
            metadata_url=f"{base}/metadata",
            targets_url=f"{base}/targets",
            getter=PlainGetter(),
            build_time=START.timestamp() - 60,
        )
        stack.callback(made.close)
        yield made


NOW = START.timestamp()


def public(count: int) -> tuple[list, list[bytes]]:  # type: ignore[type-arg]
    signers = [CryptoSigner.generate_ed25519() for _ in range(count)]
    return signers, [bytes.fromhex(s.public_key.keyval["public"]) for s in signers]


def test_what_is_published_can_be_read_and_what_is_gone_cannot(
    repository: TrustRepository, client: TrustClient
) -> None:
    repository.publish("feeds", {"feeds/deb/a": b"one", "feeds/deb/b": b"two"}, START)
    client.refresh(NOW)
    assert client.read_target("feeds/deb/b", 10) == b"two"

    repository.publish("feeds", {"feeds/deb/a": b"three"}, START, gone=["feeds/deb/b"])
    client.refresh(NOW)

    assert client.read_target("feeds/deb/a", 10) == b"three"
    with pytest.raises(TargetAbsent):
        client.read_target("feeds/deb/b", 10)


def test_a_role_signs_nothing_outside_its_paths(repository: TrustRepository) -> None:
    for path in ("publisher/deb/a", "feeds/a", "feeds/a/b/c", "feeds/../x", "feeds//x"):
        with pytest.raises(Refused):
            repository.publish("feeds", {path: b""}, START)


def test_a_fresh_timestamp_keeps_agents_going(
    repository: TrustRepository, client: TrustClient
) -> None:
    client.refresh(NOW)
    later = START + LIFE[TIMESTAMP] + timedelta(hours=1)
    with pytest.raises(MetadataExpired):
        client.refresh(later.timestamp())

    repository.refresh_timestamp(later)

    client.refresh(later.timestamp())


def test_thresholds_rise_by_ordinary_rotation_and_agents_follow(
    repository: TrustRepository, client: TrustClient
) -> None:
    client.refresh(NOW)
    assert keys_on_server(repository, START) == {"root", "targets", "publisher", "agent"}

    for role in ("publisher", "agent", "targets", "root"):
        signers, keys = public(3)
        if role == "targets":
            targets_signers = signers
        change_keys(repository, role, keys, 2, now=START, signers=signers)

    assert keys_on_server(repository, START) == set()
    assert len(targets_signers) == 3
    repository.publish("feeds", {"feeds/deb/a": b"one"}, START)
    client.refresh(NOW)
    assert client.read_target("feeds/deb/a", 10) == b"one"
    assert client.root_version() == repository.root()[0] == 3


def test_an_offline_role_is_signed_elsewhere_by_as_many_as_it_takes(
    repository: TrustRepository, client: TrustClient
) -> None:
    signers, keys = public(3)
    change_keys(repository, "publisher", keys, 2, now=START, signers=signers)
    with pytest.raises(KeysElsewhere):
        repository.publish("publisher", {"publisher/own/a": b"x"}, START)
    draft = repository.draft("publisher", {"publisher/own/a": b"x"}, START)

    with pytest.raises(NotSigned):
        repository.accept({"publisher": sign_draft(draft, signers[:1])}, START)
    repository.accept({"publisher": sign_draft(draft, signers[1:])}, START)

    client.refresh(NOW)
    assert client.read_target("publisher/own/a", 10) == b"x"
    with pytest.raises(Refused):
        repository.accept({"publisher": sign_draft(draft, signers[1:])}, START)


def test_versions_do_not_go_back_when_the_timestamp_is_lost_or_older(
    repository: TrustRepository, client: TrustClient, tmp_path: Path
) -> None:
    timestamp = tmp_path / "repository/metadata/timestamp.json"
    old = timestamp.read_bytes()
    for i in range(3):
        repository.publish("feeds", {"feeds/deb/a": bytes([i])}, START)
    client.refresh(NOW)
    timestamp.write_bytes(old)

    again = TrustRepository(tmp_path / "repository", KeyFolder(tmp_path / "keys"))
    again.publish("feeds", {"feeds/deb/a": b"new"}, START)
    client.refresh(NOW)

    assert client.read_target("feeds/deb/a", 10) == b"new"


def test_a_restored_server_goes_on_above_what_agents_saw(repository: TrustRepository) -> None:
    repository.raise_version_floor("timestamp", 40)
    repository.raise_version_floor("timestamp", 3)

    repository.refresh_timestamp(START)

    assert repository.version("timestamp") == 41


def test_the_site_knows_every_metadata_that_it_published(
    repository: TrustRepository, client: TrustClient
) -> None:
    seen = []
    for i in range(3):
        repository.publish("feeds", {"feeds/deb/a": bytes([i])}, START)
        client.refresh(NOW)
        seen.append(client.trust_seen())

    assert {pair for trust in seen for pair in trust.items()} <= repository.metadata_digests()
    assert ("timestamp", sha256(b"other").digest()) not in repository.metadata_digests()


def test_what_no_agent_can_be_reading_is_tidied_away(
    repository: TrustRepository, client: TrustClient, tmp_path: Path
) -> None:
    for i in range(5):
        repository.publish("feeds", {"feeds/deb/a": b"a", "feeds/deb/b": bytes([i])}, START)
    www = tmp_path / "repository"
    for path in www.rglob("*.*"):
        os.utime(path, (NOW - 36 * 86_400, NOW - 36 * 86_400))

    repository.refresh_timestamp(START)

    client.refresh(NOW)
    assert client.read_target("feeds/deb/b", 10) == bytes([4])
    assert len(list((www / "targets").rglob("*.b"))) == 1
    assert [p.name for p in (www / "metadata").glob("*.feeds.json")] == ["6.feeds.json"]
    assert (www / "metadata/1.root.json").exists()


def test_private_keys_are_nobody_elses(repository: TrustRepository, tmp_path: Path) -> None:
    keys = tmp_path / "keys"

    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in keys.iterdir()} == {0o600}
    assert len(list(keys.iterdir())) == 7


def test_a_draft_may_wait_weeks_for_its_signature_and_is_refused_once_its_files_are_gone(
    repository: TrustRepository, tmp_path: Path
) -> None:
    keys = KeyFolder(tmp_path / "keys")
    signers = keys.signers("publisher", keys.key_ids("publisher"))
    stored = datetime.now(UTC)  # the files carry the time of this machine
    repository.refresh_timestamp(stored)
    begun = repository.version("publisher")

    first = repository.draft("publisher", {"publisher/own/00": b"our own update"}, stored)
    repository.refresh_timestamp(stored + timedelta(days=34))
    repository.accept({"publisher": sign_draft(first, signers)}, stored)
    late = repository.draft("publisher", {"publisher/own/01": b"another"}, stored)
    repository.refresh_timestamp(stored + timedelta(days=36))

    with pytest.raises(Refused, match="publisher/own/01"):
        repository.accept({"publisher": sign_draft(late, signers)}, stored)
    assert repository.version("publisher") == begun + 1


def test_roles_whose_keys_are_here_are_renewed_at_half_of_their_life(
    repository: TrustRepository, client: TrustClient
) -> None:
    client.refresh(NOW)
    signers, keys = public(1)
    change_keys(repository, "publisher", keys, 1, now=START, signers=signers)
    late = START + LIFE["root"] / 2 + timedelta(days=1)

    repository.refresh_timestamp(late)
    repository.refresh_timestamp(later := START + LIFE["root"] + timedelta(hours=1))

    client.refresh(later.timestamp())
    versions = {role: repository.version(role) for role in ("root", "targets", "publisher")}
    assert versions == {"root": 2, "targets": 3, "publisher": 2}
    warned = {x.role: x.warnings for x in repository.status(late) if x.role == "publisher"}
    assert warned == {"publisher": ("more than half of its life is over; renew it",)}


def test_after_a_restore_every_role_goes_on_above_what_machines_saw(
    repository: TrustRepository, client: TrustClient
) -> None:
    for role in ("timestamp", "snapshot", "feeds", "targets"):
        repository.raise_version_floor(role, 30)

    repository.refresh_timestamp(START)

    versions = {x.role: x.version for x in repository.status(START)}
    assert versions == {
        "root": 1, "targets": 31, "snapshot": 31, "timestamp": 31,
        "feeds": 31, "publisher": 1, "agent": 1,
    }  # fmt: skip
    client.refresh(NOW)


def test_a_root_cannot_leave_versions_out(repository: TrustRepository) -> None:
    with pytest.raises(Refused, match="no gaps"):
        repository.raise_version_floor("root", 5)


def test_who_has_the_newest_root_does_not_look_for_a_next_one(
    repository: TrustRepository, client: TrustClient, requests: list[str]
) -> None:
    client.refresh(NOW)
    requests.clear()
    repository.refresh_timestamp(START + timedelta(days=1))

    client.refresh(NOW + 86_400, root_version=1)

    assert requests == ["/metadata/timestamp.json"]


def test_a_root_that_was_kept_quiet_is_found_when_its_keys_are_needed(
    repository: TrustRepository, client: TrustClient
) -> None:
    client.refresh(NOW)
    signers = []
    for _ in range(2):
        more, keys = public(1)
        signers += more
        change_keys(repository, "targets", keys, 1, now=START, signers=signers)

    client.refresh(NOW, root_version=1)

    assert client.root_version() == 3


def test_a_file_that_did_not_change_is_fetched_once_and_verified_each_time(
    repository: TrustRepository, client: TrustClient, requests: list[str], tmp_path: Path
) -> None:
    repository.publish("feeds", {"feeds/a/b": b"first"}, START)
    client.refresh(NOW)
    assert client.read_target("feeds/a/b", 100) == b"first"
    requests.clear()

    assert client.read_target("feeds/a/b", 100) == b"first"
    assert requests == []
    for kept in (tmp_path / "agent/targets").iterdir():
        kept.write_bytes(b"furst")
    assert client.read_target("feeds/a/b", 100) == b"first"
    assert len(requests) == 1
    repository.publish("feeds", {"feeds/a/b": b"second"}, START)
    client.refresh(NOW)
    assert client.read_target("feeds/a/b", 100) == b"second"


def test_what_the_server_signs_itself_is_neither_drafted_nor_adopted(
    repository: TrustRepository, client: TrustClient, tmp_path: Path
) -> None:
    for role in ("snapshot", "timestamp"):
        with pytest.raises(Refused, match=role):
            repository.draft_renewal([role], START)
        published = sorted((tmp_path / "repository/metadata").glob(f"*{role}.json"))[-1]
        with pytest.raises(Refused, match=role):
            repository.accept({role: published.read_bytes()}, START)

    repository.refresh_timestamp(START, snapshot=True)

    versions = {x.role: x.version for x in repository.status(START)}
    assert (versions["snapshot"], versions["timestamp"]) == (2, 2)
    client.refresh(NOW)


def test_a_timestamp_is_signed_anew_after_a_day_and_not_before(
    repository: TrustRepository,
) -> None:
    repository.keep_fresh(START + timedelta(hours=23))
    assert repository.version("timestamp") == 1

    repository.keep_fresh(START + timedelta(days=1))

    assert repository.version("timestamp") == 2


def test_what_a_machine_saw_a_year_ago_is_still_known(
    repository: TrustRepository, client: TrustClient, tmp_path: Path
) -> None:
    client.refresh(NOW)
    seen = dict(client.trust_seen())
    log = tmp_path / "repository/published"
    busy = (f"feeds {n} {sha256(b'%d' % n).hexdigest()}" for n in range(2, 10_000))
    log.write_text(log.read_text() + "\n".join(busy) + "\n")
    repository.refresh_timestamp(START + timedelta(days=390))

    assert set(seen.items()) <= repository.metadata_digests()
    later = START + timedelta(days=430)
    repository.refresh_timestamp(later)
    again = TrustRepository(tmp_path / "repository", KeyFolder(tmp_path / "keys"))
    assert ("timestamp", seen["timestamp"]) not in again.metadata_digests()
    assert again.metadata_digests() == repository.metadata_digests()
    again.refresh_timestamp(later)
    assert repository.version("timestamp") == again.version("timestamp")
