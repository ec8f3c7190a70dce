"""A whole site in the hands of somebody who owns its server and every key that lies there.

Agents' plane, metadata, content, envelopes: all of it over TLS as a machine sees it. Only the
offline keys are elsewhere: root, targets, the publisher's and the agent's. It starts out honest,
with an update of a vendor's and one of its own, and `offer` publishes the vendor's next one.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole

from patchtide.adapters.trust.drafts import sign_draft
from patchtide.adapters.trust.keys import KeyFolder
from patchtide.adapters.trust.layout import SNAPSHOT, meta_file
from patchtide.adapters.trust.published import PublishedFiles
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import Always, Comparison, PackageFormat, PackageInstalled
from patchtide.domain.catalog.updates import LeafFile, Origin, Revision, UpdateId, UpdateNumber
from patchtide.wire.messages import CheckInAnswerV1, encode
from patchtide.wire.policy import (
    ApprovedV1,
    EnvelopeV1,
    FragmentV1,
    ItemV1,
    RollbackOrderV1,
    approve,
    seal,
)
from tests.simulator.evil_server import Forger, keys_elsewhere
from tests.simulator.site_server import CLIENT, Answer, Site, jump

OLD, GOOD, NEXT = b"nginx 4, vulnerable" * 40, b"nginx 5" * 99, b"nginx 6" * 99
OWN, EVIL = b"the site's own" * 40, b"evil package" * 99
SIGNED = {
    sha256(OLD).hexdigest(): "nginx 4",
    sha256(GOOD).hexdigest(): "nginx 5",
    sha256(NEXT).hexdigest(): "nginx 6",
}
"""What the vendor has signed, in its own words."""
MACHINE = {
    "os_id": "debian",
    "os_version": "12",
    "shards": ["debian-12", "custom"],
    "packages": {"nginx": "4", "own": "1"},
    "signed": SIGNED,
    "fetches": True,
}
FEED, CUSTOM = "debian-12", "custom"


def a_leaf(number: int, package: str, version: str, data: bytes, *, origin: str = "feed:x") -> Leaf:
    """Needed wherever the package is older than version 9."""
    newest = PackageInstalled(
        PackageFormat.DEB, package, Comparison.AT_LEAST, version if version != "4" else "9"
    )
    file = LeafFile(
        name=package, version=version, sha256=sha256(data).digest(), size_bytes=len(data)
    )
    return Leaf(
        number=UpdateNumber(number),
        revision=Revision(1),
        update=UpdateId(UUID(int=number)),
        prerequisite=Always(),
        applicable=PackageInstalled(PackageFormat.DEB, package),
        installed=newest,
        origin=Origin(origin),
        files=(file,),
    )


NGINX = a_leaf(1, "nginx", "5", GOOD)
OWN_LEAF = a_leaf(2, "own", "2", OWN, origin="publisher")
NGINX_6 = replace(a_leaf(1, "nginx", "6", NEXT), revision=Revision(2))


@dataclass
class EvilSite(Site):
    """See above; `envelope` is what machines get when theirs is older."""

    envelope: bytes = b""
    sequence: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        self.online_keys = KeyFolder(self.folder / "tuf")
        self.forger = Forger(self.folder / "repository", self.online_keys, self.repository)
        # For a machine that has been taken over by nobody yet, the site signs its own once.
        self.publish(CUSTOM, OWN_LEAF)
        self.offline = keys_elsewhere(self.repository, self.online_keys, datetime.now(UTC))
        index = self._indexes[CUSTOM]
        draft = self.repository.draft(
            "publisher", {"publisher/custom/index": encode(index)}, datetime.now(UTC)
        )
        signed = {"publisher": sign_draft(draft, [self.offline["publisher"]])}
        self.repository.accept(signed, datetime.now(UTC))
        self.publish(FEED, NGINX)
        for data in (OLD, GOOD, NEXT, OWN, EVIL):
            self._put(data)
        self.assign(NGINX, OWN_LEAF)

    def assign(self, *leaves: Leaf, client: bytes = CLIENT, **changes: object) -> None:
        """Order these updates in a new fragment, under a new envelope."""
        items = [(leaf.number, leaf.revision, _files(leaf)) for leaf in leaves]
        self.order(items, client=client, **changes)

    def order(
        self, items: Sequence[tuple[int, int, object]], *, client: bytes = CLIENT, **changes: object
    ) -> None:
        named = tuple(ItemV1(number=n, revision=r, files=f) for n, r, f in items)  # type: ignore[arg-type]
        fragment = FragmentV1(deployment=bytes(16), items=named, **changes)  # type: ignore[arg-type]
        _, name = self._put(self.sealed(fragment))
        self.sequence += 1
        self.envelope = self.sealed(self.an_envelope(name, client=client))

    def an_envelope(
        self, *fragments: bytes, client: bytes = CLIENT, sequence: int = 0
    ) -> EnvelopeV1:
        now = int(time.time())
        return EnvelopeV1(
            client=client,
            sequence=sequence or self.sequence,
            issued=now,
            valid_until=now + 86_400,
            fragments=fragments,
        )

    def sealed(self, document: Struct, key: Ed25519PrivateKey | None = None) -> bytes:
        key = key or self.keys.answers
        return seal(document, key.sign, public_key=key.public_key().public_bytes_raw())

    def offer(self) -> None:
        """Publish the vendor's next update and order it, as an honest site would."""
        self.publish(FEED, NGINX_6)
        self.assign(NGINX_6)

    def _news(self) -> Answer:
        said = self.check_ins[-1]
        newer = {n: s for n, s in self.serials.items() if n in said.shards and said.shards[n] != s}
        envelope = self.envelope if said.envelope < self.sequence else b""
        if not newer and not envelope:
            return 204, b"", {"Patchtide-Next-Poll": "3600"}
        answer = CheckInAnswerV1(next_poll_s=3600, shards=newer, envelope=envelope)
        return 200, encode(answer), {}

    @contextmanager
    def put_back(self) -> Iterator[None]:
        """Undo at the end of the block whatever was done in it."""
        kept = {
            name: copy(value) if isinstance(value, list | dict | deque) else value
            for name, value in vars(self).items()
        }
        aside = self.folder.with_name("aside")
        shutil.copytree(self.folder, aside)
        try:
            yield
        finally:
            vars(self).update(kept)
            shutil.rmtree(self.folder)
            aside.rename(self.folder)


def _files(leaf: Leaf) -> tuple[tuple[bytes, int], ...]:
    return tuple((file.sha256, file.size_bytes) for file in leaf.files)


def _feed(site: EvilSite, leaf: Leaf) -> None:
    """Sign the leaf into the feed beside the vendor's, and order it."""
    site.publish(FEED, *([NGINX] if leaf.number != NGINX.number else []), leaf)
    site.assign(leaf)


Attack = Callable[[EvilSite], None]


def other_bytes_under_the_same_digest(site: EvilSite) -> None:
    site.offer()
    site.content[sha256(NEXT).hexdigest()] = EVIL[: len(NEXT)]


def more_bytes_than_named(site: EvilSite) -> None:
    site.offer()
    site.content[sha256(NEXT).hexdigest()] = NEXT + EVIL


def a_redirect_to_another_file(site: EvilSite) -> None:
    site.offer()
    evil = f"/content/{sha256(EVIL).hexdigest()}"
    site.redirects[f"/content/{sha256(NEXT).hexdigest()}"] = evil


def a_shard_changed_behind_its_index(site: EvilSite) -> None:
    honest = set(site.content)
    site.offer()
    for name in set(site.content) - honest:
        site.content[name] = bytes(len(site.content[name]))


def an_index_changed_behind_its_signature(site: EvilSite) -> None:
    site.offer()
    for path in (site.folder / "repository/targets/feeds/debian-12").iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"\0")


def an_evil_package_signed_into_a_feed(site: EvilSite) -> None:
    _feed(site, replace(a_leaf(1, "nginx", "6", EVIL), revision=Revision(2)))


def an_evil_file_beside_the_vendors(site: EvilSite) -> None:
    evil = a_leaf(1, "nginx", "6", EVIL).files
    _feed(site, replace(NGINX_6, files=NGINX_6.files + evil))


def the_sites_own_update_through_a_feed(site: EvilSite) -> None:
    _feed(site, a_leaf(9, "own", "3", EVIL, origin="publisher"))


def an_agent_build_through_a_feed(site: EvilSite) -> None:
    _feed(site, a_leaf(9, "own", "3", EVIL, origin="agent"))


def an_order_with_other_files(site: EvilSite) -> None:
    site.publish(FEED, NGINX_6)
    evil = ((sha256(EVIL).digest(), len(EVIL)),)
    site.order([(NGINX_6.number, NGINX_6.revision, evil)])


def an_order_for_another_revision(site: EvilSite) -> None:
    site.publish(FEED, NGINX_6)
    site.order([(NGINX_6.number, 7, _files(NGINX_6))])


def an_older_package_that_the_vendor_signed(site: EvilSite) -> None:
    _feed(site, a_leaf(9, "nginx", "4", OLD))


def an_older_package_with_the_servers_own_leave(site: EvilSite) -> None:
    old = a_leaf(9, "nginx", "4", OLD)
    site.publish(FEED, NGINX, old)
    payload = encode(
        RollbackOrderV1(
            package="nginx",
            version="4",
            reason="because I say so",
            expires=int(time.time()) + 3600,
            nonce=bytes(16),
        )
    )
    keys = [site.keys.answers, Ed25519PrivateKey.generate()]
    approvals = tuple(
        approve(payload, RollbackOrderV1, k.sign, public_key=k.public_key().public_bytes_raw())
        for k in keys
    )
    site.assign(old, rollbacks=(encode(ApprovedV1(payload=payload, approvals=approvals)),))


def an_older_package_called_a_newer_one(site: EvilSite) -> None:
    _feed(site, replace(a_leaf(1, "nginx", "6", OLD), revision=Revision(2)))


def publisher_metadata_signed_by_the_feeds_key(site: EvilSite) -> None:
    site.offer()
    forger, path = site.forger, "publisher/custom/index"
    publisher = forger.state()["publisher"]
    publisher.signed.targets[path] = forger.put_target(path, b"evil")
    forger.force("publisher", publisher, signed_by=forger.online("feeds"))
    site.serials[CUSTOM] += 1


def publisher_delegated_to_another_key(site: EvilSite) -> None:
    site.offer()
    own, forger = CryptoSigner.generate_ed25519(), site.forger
    targets = forger.state()["targets"]
    targets.signed.delegations.roles["publisher"] = DelegatedRole(
        "publisher", [], 1, terminating=True, paths=["publisher/*/*"]
    )
    targets.signed.add_key(own.public_key, "publisher")
    forger.force("targets", targets, signed_by=[own, *forger.online("snapshot")])


def a_root_of_its_own(site: EvilSite) -> None:
    site.offer()
    own, forger = CryptoSigner.generate_ed25519(), site.forger
    root = forger.state()["root"]
    for role in ("root", "targets"):
        for key_id in list(root.signed.roles[role].keyids):
            root.signed.revoke_key(key_id, role)
        root.signed.add_key(own.public_key, role)
    forger.force("root", root, signed_by=[own, *forger.online("timestamp")])


def an_older_publisher_list_in_a_newer_snapshot(site: EvilSite) -> None:
    site.offer()
    snapshot = site.forger.state()[SNAPSHOT]
    older = PublishedFiles(site.folder / "repository")._version("publisher", 2)
    snapshot.signed.meta["publisher.json"] = meta_file(older)
    site.forger.force_snapshot(snapshot, signed_at=int(time.time()))


def a_timestamp_from_the_future(site: EvilSite) -> None:
    site.offer()
    forger = site.forger
    forger.force_snapshot(forger.state()[SNAPSHOT], signed_at=int(time.time()) + 10_000_000)


def everything_taken_away(site: EvilSite) -> None:
    site.offer()
    shutil.rmtree(site.folder / "repository/metadata")


def an_envelope_for_another_machine(site: EvilSite) -> None:
    site.publish(FEED, NGINX_6)
    site.assign(NGINX_6, client=bytes(16))


def an_envelope_from_the_past(site: EvilSite) -> None:
    site.sequence += 1
    site.envelope = site.sealed(site.an_envelope(sequence=1))


def an_envelope_by_an_unknown_key(site: EvilSite) -> None:
    site.sequence += 1
    site.envelope = site.sealed(site.an_envelope(), Ed25519PrivateKey.generate())


def an_envelope_inside_another_kind(site: EvilSite) -> None:
    site.sequence += 1
    site.envelope = site.sealed(FragmentV1(deployment=bytes(16)))


def a_fragment_changed_behind_its_envelope(site: EvilSite) -> None:
    honest = set(site.content)
    site.publish(FEED, NGINX_6)
    published = set(site.content)
    site.assign(NGINX_6)
    for name in set(site.content) - published - honest:
        site.content[name] = site.sealed(FragmentV1(deployment=bytes([1] * 16)))


def answers_without_a_signature(site: EvilSite) -> None:
    site.offer()
    site.signs = False


def a_counter_without_a_next_one(site: EvilSite) -> None:
    site.offer()
    site.next_answers.append(jump(2**52))


ATTACKS: dict[Attack, tuple[str, str]] = {
    other_bytes_under_the_same_digest: ("download-failed", "not the file that was asked for"),
    more_bytes_than_named: ("download-failed", "would end at"),
    a_redirect_to_another_file: ("download-failed", "answered 302"),
    a_shard_changed_behind_its_index: ("content-refused", "is something else"),
    an_index_changed_behind_its_signature: ("trust-refused", "hash"),
    an_evil_package_signed_into_a_feed: ("consent-denied", "1: vendor-not-verified"),
    an_evil_file_beside_the_vendors: ("consent-denied", "1: vendor-not-verified"),
    the_sites_own_update_through_a_feed: ("consent-denied", "9: signed-by-the-wrong-role"),
    an_agent_build_through_a_feed: ("consent-denied", "9: signed-by-the-wrong-role"),
    an_order_with_other_files: ("consent-denied", "1: files-differ-from-assignment"),
    an_order_for_another_revision: ("consent-denied", "1: revision-differs"),
    an_older_package_that_the_vendor_signed: ("package-rollback-refused", "nginx 4 is older than"),
    an_older_package_with_the_servers_own_leave: ("package-rollback-refused", "too-few-approvers"),
    an_older_package_called_a_newer_one: ("consent-denied", "1: vendor-not-verified"),
    publisher_metadata_signed_by_the_feeds_key: ("trust-refused", "publisher"),
    publisher_delegated_to_another_key: ("trust-refused", "targets"),
    a_root_of_its_own: ("trust-refused", "root"),
    an_older_publisher_list_in_a_newer_snapshot: ("rollback-refused", "publisher"),
    a_timestamp_from_the_future: ("clock-behind", "metadata is of"),
    everything_taken_away: ("repository-unreachable", "404"),
    an_envelope_for_another_machine: ("policy-refused", "made-for-another-client"),
    an_envelope_from_the_past: ("policy-refused", "sequence-lower-than-seen"),
    an_envelope_by_an_unknown_key: ("policy-refused", "key-unknown"),
    an_envelope_inside_another_kind: ("policy-refused", "signature-does-not-verify"),
    a_fragment_changed_behind_its_envelope: ("content-refused", "is something else"),
    answers_without_a_signature: ("untrusted", "without a signature"),
    a_counter_without_a_next_one: ("jump-too-far", "4503599627370496"),
}
"""What is tried, and what the agent says: the code, and words of the reason."""

FEED_SIGNED = {
    an_evil_package_signed_into_a_feed,
    an_evil_file_beside_the_vendors,
    the_sites_own_update_through_a_feed,
    an_agent_build_through_a_feed,
    an_older_package_that_the_vendor_signed,
    an_older_package_with_the_servers_own_leave,
    an_older_package_called_a_newer_one,
}
"""Attacks that use what a feed's key may do: change what a feed says there is."""
