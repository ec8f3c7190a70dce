"""Whatever a repository shows and in whatever order, trust goes one way only (S02, S03).

A repository is edited at random: honest publications, rotations and thresholds; forgeries by who
holds the online keys; replays of what was honest once; and between them the machine restarts or
loses its cache. The model is TUF's rules: it knows of each offer whether it must be taken.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from securesystemslib.signer import CryptoSigner

from patchtide.adapters.trust.client import TrustClient
from patchtide.agent.ports.trust import TrustRefused
from patchtide.agent.ports.web import Reply
from tests.simulator.tuf_repository import START, Signable, TufRepository

NOW = START.timestamp()
TOP = ("root", "timestamp", "snapshot", "targets")
FILE, CONTENT = "feeds/linux/a", b"what the feed says"
Files = dict[str, bytes]
Forgery = Callable[["Forger"], None]


class Offered:
    """What the network shows at this moment, without a network."""

    def __init__(self) -> None:
        self.files: Files = {}

    @contextmanager
    def get(self, url: str, *, offset: int = 0, total_s: float, stall_s: float) -> Iterator[Reply]:
        del offset, total_s, stall_s
        data = self.files.get(urlsplit(url).path)
        status = 404 if data is None else 200
        yield Reply(status=status, length=None, start=0, chunks=iter([data or b""]))


class Forger:
    """A copy of the repository's next state, in the hands of somebody who holds its online keys.

    Its numbers are above those of forgeries before it, parts of which may have been taken: with
    those in hand a machine need not look at this one's at all.
    """

    def __init__(self, repository: TufRepository, *, before: int) -> None:
        self.times = before + 1
        self.fake = copy.copy(repository)
        self.fake.files = repository.copy_files()
        self.fake.signers = {role: list(keys) for role, keys in repository.signers.items()}
        for role in (*TOP, "delegated"):
            setattr(self.fake, role, copy.deepcopy(getattr(repository, role)))

    def by_a_stranger(self, role: str) -> None:
        self.fake.signers[role] = [CryptoSigner.generate_ed25519() for _ in range(2)]
        self._publish(role)

    def with_too_few_signatures(self, role: str) -> None:
        self.fake.signers[role] = self.fake.signers[role][:-1]
        self._publish(role)

    def with_one_signature_twice(self, role: str) -> None:
        self.with_too_few_signatures(role)
        path = self._path(role)
        data = json.loads(self.fake.files[path])
        data["signatures"] *= 2
        self.fake.files[path] = json.dumps(data).encode()

    def expired(self, role: str) -> None:
        self._metadata(role).signed.expires = START - timedelta(seconds=1)
        self._publish(role)

    def of_another_role(self, role: str) -> None:
        other = self.fake.snapshot if role != "snapshot" else self.fake.timestamp
        self._publish(role)
        self.fake.files[self._path(role)] = self.fake.signed(
            copy.deepcopy(other), self.fake.signers[role]
        )

    def cut_off(self, role: str) -> None:
        self._publish(role)
        path = self._path(role)
        self.fake.files[path] = self.fake.files[path][:-9]

    def endless(self, role: str) -> None:
        self._publish(role)
        self.fake.files[self._path(role)] += b" " * (6 << 20)

    def _metadata(self, role: str) -> Signable:
        found: Signable = getattr(self.fake, role)
        return found

    def _path(self, role: str) -> str:
        version = "" if role == "timestamp" else f"{self._metadata(role).signed.version}."
        return f"/metadata/{version}{role}.json"

    def _publish(self, role: str) -> None:
        if role == "root":
            self.fake.publish_root(bump=True)
        for _ in range(self.times):
            self.fake.publish()


ANY_ROLE = [Forger.by_a_stranger, Forger.expired, Forger.of_another_role, Forger.cut_off]
ANY_ROLE += [Forger.endless, Forger.with_too_few_signatures, Forger.with_one_signature_twice]


class TufRules(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.offered = Offered()
        self.repository = TufRepository()
        self.repository.delegate("feeds", "feeds/*/*", terminating=True)
        self.repository.add_target("feeds", FILE, CONTENT)
        self.embedded = self.repository.first_root
        self.history: list[Files] = []
        self.keys: list[list[str]] = []
        """The snapshot's keys at each publication."""
        self.accepted = -1
        """The newest publication that the machine took."""
        self.forgeries = 0
        """Since the last publication."""
        self.forged_at = -1
        """The newest publication when something was forged: a forgery may have been taken in part,
        and what is older than that part is refused, too."""
        self.floors = dict.fromkeys(TOP, 0)
        self.client = self._started()
        self.publish()

    def _started(self) -> TrustClient:
        return TrustClient(
            Path(self.folder.name),
            self.embedded,
            metadata_url="https://site/metadata",
            targets_url="https://site/targets",
            getter=self.offered,
            build_time=NOW - 60,
        )

    @rule()
    def publish(self) -> None:
        """So often that the honest numbers are above any that a forger has used up."""
        for _ in range(self.forgeries + 2):
            self.repository.publish()
        self.forgeries = 0
        self._offer(len(self.history))

    @rule(role=st.sampled_from(TOP))
    def rotate(self, role: str) -> None:
        self.repository.rotate(role)
        self.publish()

    @rule(role=st.sampled_from(TOP))
    def ask_for_one_more_signature(self, role: str) -> None:
        if len(self.repository.signers[role]) < 3:
            self.repository.add_key(role)
            self.repository.root.signed.roles[role].threshold += 1
            self.repository.publish_root(bump=True)
        self.publish()

    def _offer(self, number: int) -> None:
        if number == len(self.history):
            self.history.append(self.repository.copy_files())
            self.keys.append(list(self.repository.root.signed.roles["snapshot"].keyids))
        self.offered.files = self.history[number]
        self.must_take = number >= self.accepted
        self.may_refuse = number <= self.forged_at
        self.number = number

    @rule(back=st.integers(0, 5))
    def show_what_was_published_before(self, back: int) -> None:
        self._offer(max(0, len(self.history) - 1 - back))

    @rule(forgery=st.sampled_from(ANY_ROLE), role=st.sampled_from(TOP))
    def forge(self, forgery: Callable[[Forger, str], None], role: str) -> None:
        forger = self._forger()
        forgery(forger, role)
        self._offer_forged(forger)

    @precondition(lambda self: self.accepted > 0 and self.keys[self.accepted] == self.keys[-1])
    @rule(back=st.integers(1, 5))
    def name_older_targets_in_a_newer_snapshot(self, back: int) -> None:
        """After a change of the snapshot's keys it would be a recovery, and right."""
        older = self.history[max(0, self.accepted - back)]
        versions = [int(p.split("/")[2].split(".")[0]) for p in older if p.endswith("targets.json")]
        forger = self._forger()
        forger.fake.snapshot.signed.meta["targets.json"].version = max(versions)
        forger.fake.snapshot.signed.meta["targets.json"].hashes = None
        forger.fake.snapshot.signed.meta["targets.json"].length = None
        for _ in range(forger.times):
            forger.fake.publish_snapshot()
        self._offer_forged(forger)

    def _forger(self) -> Forger:
        self.forgeries += 1
        return Forger(self.repository, before=self.forgeries)

    def _offer_forged(self, forger: Forger) -> None:
        self.offered.files = forger.fake.files
        self.must_take = False
        self.forged_at = len(self.history) - 1

    @rule()
    def lose_the_cache(self) -> None:
        for path in Path(self.folder.name).glob("metadata/**/*.json"):
            if path.is_file():
                path.write_bytes(b"")

    @rule()
    def restart(self) -> None:
        self.client.close()
        self.client = self._started()

    @rule()
    def refresh(self) -> None:
        try:
            self.client.refresh(NOW)
        except TrustRefused:
            assert not self.must_take or self.may_refuse
            return
        assert self.must_take
        self.accepted = self.number
        assert self.client.read_target(FILE, 100) == CONTENT

    @invariant()
    def no_floor_ever_falls(self) -> None:
        floors = {role: self.client.floor(role) for role in TOP}
        assert all(floors[role] >= self.floors[role] for role in TOP)
        self.floors = floors

    def teardown(self) -> None:
        self.client.close()
        self.folder.cleanup()


TestTufRules = TufRules.TestCase
TestTufRules.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
