"""A site whose server and online keys are in the hands of an attacker (S01).

The attacker holds the keys of timestamp, snapshot, feeds and envelopes, every file and the
content store. The keys of root, targets, publisher and agent builds, and the vendors', are
elsewhere. `ATTACKS` is the table of what is tried; any agent can be pointed at `served()`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct, structs
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, TargetFile

from patchtide.adapters.trust.drafts import read_draft, sign_draft
from patchtide.adapters.trust.keys import KeyFolder
from patchtide.adapters.trust.layout import (
    OFFLINE,
    SIGNED_AT,
    SNAPSHOT,
    TIMESTAMP,
    Signable,
    meta_file,
    to_bytes,
)
from patchtide.adapters.trust.published import PublishedFiles
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.wire.messages import encode
from patchtide.wire.policy import EnvelopeV1, FragmentV1, ItemV1, seal
from tests.simulator.signing import change_keys

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOW = int(START.timestamp())
CLIENT = bytes(range(16))
GOOD, OLD, EVIL = b"good package" * 99, b"old, vulnerable package" * 50, b"evil package" * 99
OWN, BUILD = b"the site's own update" * 40, b"agent build" * 80


class Leaf(Struct, frozen=True, kw_only=True):
    """An update as a shard lists it."""

    number: int
    package: str
    version: str
    origin: str
    files: tuple[tuple[bytes, int], ...]
    revision: int = 1


FEED_SHARD, OWN_SHARD, BUILD_SHARD = "feeds/deb/00", "publisher/own/00", "agent/linux/00"
VENDOR_KEY = "publisher/keys/vendor"


def named(data: bytes) -> tuple[bytes, int]:
    return sha256(data).digest(), len(data)


def leaf(number: int, data: bytes, *, origin: str = "feeds", version: str = "5") -> Leaf:
    package = {"feeds": "nginx", "publisher": "own", "agent": "patchtide-agent"}[origin]
    return Leaf(
        number=number, package=package, version=version, origin=origin, files=(named(data),)
    )


FEED_LEAF = leaf(1, GOOD)
OWN_LEAF = leaf(2, OWN, origin="publisher")
BUILD_LEAF = leaf(3, BUILD, origin="agent")


class Forger:
    """Writes what metadata it likes, with every key that lies on the server."""

    def __init__(self, www: Path, keys: KeyFolder, repository: TrustRepository) -> None:
        self.www = www
        self.keys = keys
        self.repository = repository

    def state(self) -> dict[str, Signable]:
        return PublishedFiles(self.www).current()

    def online(self, role: str) -> list[CryptoSigner]:
        return self.keys.signers(role, self.keys.key_ids(role))

    def force(self, role: str, metadata: Signable, *, signed_by: list[CryptoSigner] | None) -> None:
        """Publish metadata without asking anybody, under fresh snapshot and timestamp.

        Signed by None: under the signatures that it has, whatever they were made for.
        """
        state = self.state()
        metadata.signed.version += 1
        if signed_by is not None:
            _sign(metadata, signed_by)
        self._write(f"metadata/{metadata.signed.version}.{role}.json", to_bytes(metadata))
        snapshot = state[SNAPSHOT]
        if role != "root":
            snapshot.signed.meta[f"{role}.json"] = meta_file(metadata)
        self.force_snapshot(snapshot)

    def force_snapshot(self, snapshot: Signable, *, signed_at: int = NOW) -> None:
        timestamp = self.state()[TIMESTAMP]
        snapshot.signed.version += 1
        _sign(snapshot, self.online(SNAPSHOT))
        self._write(f"metadata/{snapshot.signed.version}.snapshot.json", to_bytes(snapshot))
        timestamp.signed.version += 1
        timestamp.signed.snapshot_meta = meta_file(snapshot)
        timestamp.signed.unrecognized_fields[SIGNED_AT] = signed_at
        _sign(timestamp, self.online(TIMESTAMP))
        self._write("metadata/timestamp.json", to_bytes(timestamp))

    def put_target(self, path: str, data: bytes) -> TargetFile:
        info = TargetFile.from_data(path, data, ["sha256"])
        folder, name = path.rsplit("/", 1)
        self._write(f"targets/{folder}/{info.hashes['sha256']}.{name}", data)
        return info

    def _write(self, name: str, data: bytes) -> None:
        path = self.www / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def keys_elsewhere(
    repository: TrustRepository, keys: KeyFolder, now: datetime
) -> dict[str, CryptoSigner]:
    """Rotate every offline role to keys elsewhere, as a careful site does; return those."""
    elsewhere = {role: CryptoSigner.generate_ed25519() for role in OFFLINE}
    for role in ("publisher", "agent", "targets", "root"):
        raw = bytes.fromhex(elsewhere[role].public_key.keyval["public"])
        change_keys(repository, role, [raw], 1, now=now, signers=[elsewhere[role]])
        for key_id in keys.key_ids(role):
            keys.remove(role, key_id)
    return elsewhere


class EvilServer(Forger):
    """Starts out honest: one update of a vendor, one of the site's own, one agent build."""

    def __init__(self, folder: Path) -> None:
        keys = KeyFolder(folder / "online-keys")
        super().__init__(folder / "www", keys, TrustRepository(folder / "www", keys))
        self.repository.create(START)
        self.policy = Ed25519PrivateKey.generate()
        self.redirects: dict[str, str] = {}
        self.fragments: list[bytes] = []
        self.envelope = b""
        self._sequence = 0
        vendor = Ed25519PrivateKey.generate()
        for data, version in ((GOOD, "5"), (OLD, "4")):
            self.store(data)
            self.sign_as_vendor(vendor, data, version)
        for data in (EVIL, OWN, BUILD):
            self.store(data)
        self.publish_feed(FEED_LEAF)
        own = {
            OWN_SHARD: encode_shard(OWN_LEAF),
            VENDOR_KEY: vendor.public_key().public_bytes_raw(),
        }
        self._move_keys_away(own)
        self.assign(FEED_LEAF, OWN_LEAF, BUILD_LEAF)

    @property
    def policy_key(self) -> bytes:
        return self.policy.public_key().public_bytes_raw()

    def store(self, data: bytes, *, under: bytes | None = None) -> None:
        self._write(f"blobs/{(under or sha256(data).digest()).hex()}", data)

    def sign_as_vendor(self, vendor: Ed25519PrivateKey, data: bytes, version: str) -> None:
        """As vendors' indexes do: the version is signed together with the digest."""
        digest = sha256(data)
        signature = vendor.sign(version.encode() + digest.digest())
        self._write(f"vendor/{digest.hexdigest()}", signature + version.encode())

    def publish_feed(self, *leaves: Leaf) -> None:
        self.repository.publish("feeds", {FEED_SHARD: encode_shard(*leaves)}, START)

    def assign(self, *leaves: Leaf, client: bytes = CLIENT) -> None:
        """Order these updates in a new fragment, under a new envelope."""
        items = tuple(ItemV1(number=n.number, revision=n.revision, files=n.files) for n in leaves)
        self.fragments = [self.sealed(FragmentV1(deployment=bytes(16), items=items))]
        self.name_fragments(client=client)

    def name_fragments(self, *, client: bytes = CLIENT, sequence: int | None = None) -> None:
        self._sequence += 1
        self.envelope = self.sealed(
            EnvelopeV1(
                client=client,
                sequence=sequence or self._sequence,
                issued=NOW,
                valid_until=NOW + 86_400,
                fragments=tuple(sha256(f).digest() for f in self.fragments),
            )
        )

    def sealed(self, document: Struct) -> bytes:
        return seal(document, self.policy.sign, public_key=self.policy_key)

    @contextmanager
    def served(self) -> Iterator[str]:
        handler = partial(_Handler, directory=str(self.www), redirects=self.redirects)
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _move_keys_away(self, own: dict[str, bytes]) -> None:
        elsewhere = keys_elsewhere(self.repository, self.keys, START)
        for role, files in {
            "publisher": own,
            "agent": {BUILD_SHARD: encode_shard(BUILD_LEAF)},
        }.items():
            draft = self.repository.draft(role, files, START)
            self.repository.accept({role: sign_draft(draft, [elsewhere[role]])}, START)


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: object, redirects: dict[str, str], **options: object) -> None:
        self._redirects = redirects
        super().__init__(*args, **options)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.path not in self._redirects:
            super().do_GET()
            return
        self.send_response(302)
        self.send_header("location", self._redirects[self.path])
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        del format, args


def encode_shard(*leaves: Leaf) -> bytes:
    return b"".join(len(b := encode(n)).to_bytes(4) + b for n in leaves)


def _sign(metadata: Signable, signers: list[CryptoSigner]) -> None:
    metadata.signatures.clear()
    for signer in signers:
        metadata.sign(signer, append=True)


Attack = Callable[[EvilServer], None]


def other_bytes_under_the_same_digest(server: EvilServer) -> None:
    server.store(EVIL, under=sha256(GOOD).digest())


def more_bytes_than_named(server: EvilServer) -> None:
    server.store(GOOD + EVIL, under=sha256(GOOD).digest())


def a_redirect_to_another_file(server: EvilServer) -> None:
    evil = f"/blobs/{sha256(EVIL).hexdigest()}"
    server.redirects[f"/blobs/{sha256(GOOD).hexdigest()}"] = evil


def a_shard_changed_behind_its_signature(server: EvilServer) -> None:
    for path in (server.www / "targets/feeds/deb").iterdir():
        path.write_bytes(path.read_bytes().replace(named(GOOD)[0], named(EVIL)[0]))


def an_evil_package_signed_into_a_feed(server: EvilServer) -> None:
    evil = leaf(1, EVIL)
    server.publish_feed(evil)
    server.assign(evil)


def an_evil_file_beside_the_vendors(server: EvilServer) -> None:
    both = structs.replace(FEED_LEAF, files=(named(GOOD), named(EVIL)))
    server.publish_feed(both)
    server.assign(both)


def the_sites_own_update_through_a_feed(server: EvilServer) -> None:
    evil = leaf(9, EVIL, origin="publisher")
    server.publish_feed(FEED_LEAF, evil)
    server.assign(evil)


def an_agent_build_through_a_feed(server: EvilServer) -> None:
    evil = leaf(9, EVIL, origin="agent")
    server.publish_feed(FEED_LEAF, evil)
    server.assign(evil)


def an_order_for_what_no_catalog_has(server: EvilServer) -> None:
    server.assign(leaf(77, EVIL))


def an_order_with_other_files(server: EvilServer) -> None:
    server.assign(structs.replace(FEED_LEAF, files=(named(EVIL),)))


def an_older_package_that_the_vendor_signed(server: EvilServer) -> None:
    old = leaf(1, OLD, version="4")
    server.publish_feed(old)
    server.assign(old)


def an_older_package_called_a_newer_one(server: EvilServer) -> None:
    old = leaf(1, OLD, version="6")
    server.publish_feed(old)
    server.assign(old)


def _forged_role(server: EvilServer, role: str, path: str, evil: Leaf) -> None:
    metadata = server.state()[role]
    metadata.signed.targets[path] = server.put_target(path, encode_shard(evil))
    server.force(role, metadata, signed_by=server.online("feeds"))
    server.assign(evil)


def publisher_metadata_signed_by_the_feeds_key(server: EvilServer) -> None:
    _forged_role(server, "publisher", OWN_SHARD, leaf(2, EVIL, origin="publisher"))


def a_draft_of_custom_updates_that_nobody_signed(server: EvilServer) -> None:
    """The server makes drafts for the publisher's role, and here puts one in force as it is."""
    evil = leaf(2, EVIL, origin="publisher")
    draft = server.repository.draft("publisher", {OWN_SHARD: encode_shard(evil)}, START)
    server.put_target(OWN_SHARD, encode_shard(evil))
    server.force("publisher", read_draft(draft), signed_by=[])
    server.assign(evil)


def a_draft_under_the_signatures_of_the_last_one(server: EvilServer) -> None:
    a_draft_of_custom_updates_that_nobody_signed(server)
    *_, before, last = sorted(
        server.www.glob("metadata/*.publisher.json"), key=lambda path: int(path.name.split(".")[0])
    )
    forged = read_draft(last.read_bytes())
    forged.signatures.update(read_draft(before.read_bytes()).signatures)
    server.force("publisher", forged, signed_by=None)


def agent_metadata_signed_by_the_feeds_key(server: EvilServer) -> None:
    _forged_role(server, "agent", BUILD_SHARD, leaf(3, EVIL, origin="agent"))


def publisher_delegated_to_another_key(server: EvilServer) -> None:
    own = CryptoSigner.generate_ed25519()
    targets = server.state()["targets"]
    targets.signed.delegations.roles["publisher"] = DelegatedRole(
        "publisher", [], 1, terminating=True, paths=["publisher/*/*"]
    )
    targets.signed.add_key(own.public_key, "publisher")
    server.force("targets", targets, signed_by=[own, *server.online("snapshot")])


def a_root_of_its_own(server: EvilServer) -> None:
    own = CryptoSigner.generate_ed25519()
    root = server.state()["root"]
    for role in ("root", "targets"):
        for key_id in list(root.signed.roles[role].keyids):
            root.signed.revoke_key(key_id, role)
        root.signed.add_key(own.public_key, role)
    server.force("root", root, signed_by=[own, *server.online("timestamp")])


def an_older_publisher_list_in_a_newer_snapshot(server: EvilServer) -> None:
    state = server.state()
    snapshot = state[SNAPSHOT]
    first = PublishedFiles(server.www)._version("publisher", 2)
    snapshot.signed.meta["publisher.json"] = meta_file(first)
    server.force_snapshot(snapshot)


def another_vendors_key(server: EvilServer) -> None:
    vendor = Ed25519PrivateKey.generate()
    for path in (server.www / "targets/publisher/keys").iterdir():
        path.write_bytes(vendor.public_key().public_bytes_raw())
    server.sign_as_vendor(vendor, EVIL, "5")
    an_evil_package_signed_into_a_feed(server)


def an_envelope_for_another_machine(server: EvilServer) -> None:
    server.assign(FEED_LEAF, client=bytes(16))


def an_envelope_from_the_past(server: EvilServer) -> None:
    server.name_fragments(sequence=1)


def a_fragment_that_no_envelope_names(server: EvilServer) -> None:
    server.fragments.append(server.sealed(FragmentV1(deployment=bytes([1] * 16))))


def an_envelope_by_an_unknown_key(server: EvilServer) -> None:
    server.policy = Ed25519PrivateKey.generate()
    server.assign(FEED_LEAF)


def a_timestamp_from_the_future(server: EvilServer) -> None:
    server.force_snapshot(server.state()[SNAPSHOT], signed_at=NOW + 10_000_000)


def everything_taken_away(server: EvilServer) -> None:
    shutil.rmtree(server.www / "metadata")
    (server.www / "metadata").mkdir()


ATTACKS: dict[Attack, str] = {
    other_bytes_under_the_same_digest: "download-failed",
    more_bytes_than_named: "download-failed",
    a_redirect_to_another_file: "download-failed",
    a_shard_changed_behind_its_signature: "trust-refused",
    an_evil_package_signed_into_a_feed: "vendor-not-verified",
    an_evil_file_beside_the_vendors: "vendor-not-verified",
    the_sites_own_update_through_a_feed: "signed-by-the-wrong-role",
    an_agent_build_through_a_feed: "signed-by-the-wrong-role",
    an_order_for_what_no_catalog_has: "not-in-catalog",
    an_order_with_other_files: "files-differ-from-catalog",
    an_older_package_that_the_vendor_signed: "package-rollback-refused",
    an_older_package_called_a_newer_one: "vendor-not-verified",
    publisher_metadata_signed_by_the_feeds_key: "trust-refused",
    a_draft_of_custom_updates_that_nobody_signed: "trust-refused",
    a_draft_under_the_signatures_of_the_last_one: "trust-refused",
    agent_metadata_signed_by_the_feeds_key: "trust-refused",
    publisher_delegated_to_another_key: "trust-refused",
    a_root_of_its_own: "trust-refused",
    an_older_publisher_list_in_a_newer_snapshot: "rollback-refused",
    another_vendors_key: "trust-refused",
    an_envelope_for_another_machine: "made-for-another-client",
    an_envelope_from_the_past: "sequence-lower-than-seen",
    a_fragment_that_no_envelope_names: "not-named-by-the-envelope",
    an_envelope_by_an_unknown_key: "key-unknown",
    a_timestamp_from_the_future: "clock-behind",
    everything_taken_away: "repository-unreachable",
}
"""What is tried, and the code with which an agent refuses it."""
