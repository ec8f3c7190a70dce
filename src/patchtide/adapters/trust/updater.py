"""python-tuf's client as the trust client uses it: our clock, what it loaded, our words for no."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    RepositoryError,
)
from tuf.api.metadata import Root, TargetFile, Targets
from tuf.ngclient import Updater

from patchtide.adapters.trust.layout import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from patchtide.agent.ports.trust import (
    MetadataExpired,
    RepositoryUnreachable,
    RollbackRefused,
    TrustRefused,
    TrustStoreFailed,
)

TOP = (ROOT, TIMESTAMP, SNAPSHOT, TARGETS)


class ClockedUpdater(Updater):
    """python-tuf's client, with our idea of the time, and a look at what it loaded.

    The members with an underscore have no public counterpart in tuf 7; the integration tests
    notice if a new version changes them.
    """

    moment: float = 0.0

    def begin(self, moment: float) -> None:
        self.moment = moment
        self._trusted_set.reference_time = datetime.fromtimestamp(moment, UTC)
        self._walked: dict[str, None] = {}

    @property
    def root(self) -> Root:
        return self._trusted_set.root

    def version(self, role: str) -> int:
        return int(self._trusted_set[role].version)

    def named(self) -> dict[str, int]:
        """Return the version of each role that the snapshot names."""
        meta = self._trusted_set.snapshot.meta
        return {name.removesuffix(".json"): file.version for name, file in meta.items()}

    def search(self, path: str) -> tuple[TargetFile | None, tuple[str, ...]]:
        self._walked = {}
        found = self.get_targetinfo(path)
        return found, tuple(self._walked)

    def keys_of(self, role: str) -> bytes:
        """Return a fingerprint of the keys whose rotation lets this role begin anew, and its own.

        As in TUF: new snapshot keys (only the root can name them) let all that snapshots name
        begin anew, since a stolen snapshot key could have pushed those versions up. New keys of
        the role itself do not: an older file that a kept key had signed would be valid again.
        """
        if role == ROOT:
            return self._fingerprint() * 2
        resetting = {SNAPSHOT, TIMESTAMP} if role in (SNAPSHOT, TIMESTAMP) else {SNAPSHOT}
        return self._fingerprint(*resetting) + self._fingerprint(role)

    def _fingerprint(self, *roles: str) -> bytes:
        lines = [f"{role} {' '.join(self._key_ids(role))}" for role in sorted(roles)]
        return sha256("\n".join(lines).encode()).digest()

    def raw_keys(self, role: str) -> list[bytes]:
        targets = self._trusted_set.targets
        keys = [targets.get_key(key_id) for key_id in targets.get_delegated_role(role).keyids]
        return [bytes.fromhex(key.keyval["public"]) for key in keys if key.keytype == "ed25519"]

    def timestamp_field(self, name: str) -> object:
        return self._trusted_set.timestamp.unrecognized_fields.get(name)

    def _key_ids(self, role: str) -> list[str]:
        parent: Root | Targets = self.root if role in TOP else self._trusted_set.targets
        try:
            delegate = parent.get_delegated_role(role)
        except ValueError:  # delegated further down, or not at all
            return []
        return [*sorted(delegate.keyids), str(delegate.threshold)]

    def _load_targets(self, role: str, parent_role: str) -> Targets:
        targets = super()._load_targets(role, parent_role)
        self._walked[role] = None
        return targets


@contextmanager
def refusals() -> Iterator[None]:
    """Turn python-tuf's errors into the port's."""
    try:
        yield
    except ExpiredMetadataError as error:
        raise MetadataExpired(str(error)) from error
    except BadVersionNumberError as error:
        raise RollbackRefused(str(error)) from error
    except (RepositoryError, DownloadLengthMismatchError) as error:
        raise TrustRefused(str(error)) from error
    except DownloadError as error:
        raise RepositoryUnreachable(str(error)) from error
    except OSError as error:
        raise TrustStoreFailed(str(error)) from error
