"""Changes the machine: only what the catalog and the envelope both name, and no older package.

Consent is asked twice, when an order is staged and again right before it is installed, for hours
may lie between. Nothing here remembers anything: what is true is read again each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from patchtide.agent.catalog import LocalCatalog
from patchtide.agent.policy import LocalPolicy
from patchtide.agent.ports.platform import Platform
from patchtide.agent.ports.trust import Compare, Trust
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import PackageFormat
from patchtide.domain.catalog.updates import Verification
from patchtide.domain.catalog.versions_deb import deb_key
from patchtide.domain.catalog.versions_rpm import rpm_key
from patchtide.domain.errors import Refused
from patchtide.domain.sequencer.consent import Candidate, Deny, Listed, Origin, may_install
from patchtide.domain.sequencer.states import Order

_KEYS: Mapping[PackageFormat, Callable[[str], bytes]] = {
    PackageFormat.DEB: deb_key,
    PackageFormat.RPM: rpm_key,
}
_ORIGINS = {
    Verification.VENDOR_SIGNATURE: Origin.FEED,
    Verification.PUBLISHER_ROLE: Origin.PUBLISHER,
    Verification.AGENT_ROLE: Origin.AGENT,
}


class ConsentDenied(Refused):
    """The catalog and the site's policy do not both allow this."""

    code = "consent-denied"


class PackageTrust(Trust, Protocol):
    def package_installed(self, name: str, version: str, compare: Compare) -> None: ...


class Enforcement:
    def __init__(
        self, *, catalog: LocalCatalog, policy: LocalPolicy, trust: PackageTrust, platform: Platform
    ) -> None:
        self._catalog = catalog
        self._policy = policy
        self._trust = trust
        self._platform = platform

    def boot_id(self) -> str:
        return self._platform.uptime().boot_id

    def restart_pending(self) -> bool:
        return self._platform.uptime().restart_pending

    def stage(self, order: Order, *, now: float) -> None:
        """Have everything at hand and verified.

        Raises:
            ConsentDenied, TrustRefused: it may not be installed.
        """
        self._trust.refresh(now)
        self._refuse_older(self._permitted(order, now=now), now=now)

    def install(self, order: Order, *, now: float) -> bool:
        """Install; return whether a restart is needed.

        Raises:
            ConsentDenied, TrustRefused: it may not be installed any more.
            InstallFailed: the platform could not.
        """
        leaves = self._permitted(order, now=now)
        self._refuse_older(leaves, now=now)  # another order may have raised a floor since
        self._platform.install(leaves)
        compare = self._compare()
        for leaf in leaves:
            for file in leaf.files:
                self._trust.package_installed(file.name, file.version, compare)
        return self._platform.uptime().restart_pending

    def repair(self) -> None:
        self._platform.repair()

    def restart(self) -> None:
        self._platform.restart()

    def _permitted(self, order: Order, *, now: float) -> Sequence[Leaf]:
        known = self._catalog.leaves()
        wanted = [known[number][0] for number in order.updates if number in known]
        verified = self._platform.stage(wanted)
        verdict = may_install(
            [_candidate(known, number, verified) for number in order.updates],
            catalog={leaf.number: _listed(leaf, role) for leaf, role in known.values()},
            assigned=self._policy.assigned(order.id),
            now=now,
        )
        if isinstance(verdict, Deny):
            raise ConsentDenied("; ".join(f"{n}: {why}" for n, why in verdict.reasons))
        return wanted

    def _refuse_older(self, leaves: Sequence[Leaf], *, now: float) -> None:
        compare = self._compare()
        for leaf in leaves:
            for file in leaf.files:
                self._trust.check_package(file.name, file.version, compare, now=now)

    def _compare(self) -> Compare:
        """Return the version order of the machine's own packages."""
        key = _KEYS[next(iter(self._platform.facts().packages), PackageFormat.DEB)]

        def compare(first: str, second: str) -> int:
            return (key(first) > key(second)) - (key(first) < key(second))

        return compare


def _candidate(
    known: Mapping[int, tuple[Leaf, str]], number: int, verified: frozenset[int]
) -> Candidate:
    if number not in known:
        return Candidate(number=number, revision=0, files=frozenset())
    leaf, _ = known[number]
    return Candidate(
        number=number,
        revision=leaf.revision,
        files=_files(leaf),
        vendor_verified=number in verified,
    )


def _listed(leaf: Leaf, role: str) -> Listed:
    """A leaf of unknown origin is listed under a role that cannot have signed it."""
    origin = _ORIGINS.get(leaf.origin.verification)
    return Listed(
        number=leaf.number,
        revision=leaf.revision,
        files=_files(leaf),
        origin=origin or Origin.PUBLISHER,
        signed_by=role if origin else "",
    )


def _files(leaf: Leaf) -> frozenset[tuple[bytes, int]]:
    return frozenset((file.sha256, file.size_bytes) for file in leaf.files)
