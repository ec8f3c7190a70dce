"""Changes the machine: only what the catalog and the envelope both name, and no older package.

Consent is asked before the first byte is fetched, again when everything is at hand, and once more
right before the installation, for hours may lie between. Nothing here remembers anything: what
is true is read again each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from patchtide.agent.catalog import LocalCatalog
from patchtide.agent.policy import LocalPolicy
from patchtide.agent.ports.content import Content, ContentUnreachable
from patchtide.agent.ports.platform import Platform
from patchtide.agent.ports.trust import Compare, Trust
from patchtide.domain.applicability.evaluation import PACKAGE_ORDER
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import PackageFormat
from patchtide.domain.catalog.updates import (
    Evaluator,
    LeafFile,
    PackageFloor,
    Restart,
    Verification,
)
from patchtide.domain.errors import Refused
from patchtide.domain.sequencer.consent import (
    Assigned,
    Candidate,
    Deny,
    Grant,
    Listed,
    Origin,
    may_install,
    may_stage,
)
from patchtide.domain.sequencer.events import Installed
from patchtide.domain.sequencer.states import Order

_ORIGINS = {
    Verification.VENDOR_SIGNATURE: Origin.FEED,
    Verification.PUBLISHER_ROLE: Origin.PUBLISHER,
    Verification.AGENT_ROLE: Origin.AGENT,
}


class Ask(Protocol):
    """`may_stage` or `may_install`."""

    def __call__(
        self,
        candidates: Iterable[Candidate],
        *,
        catalog: Mapping[int, Listed],
        assigned: Mapping[int, Assigned],
        now: float,
    ) -> Grant | Deny: ...


class ConsentDenied(Refused):
    """The catalog and the site's policy do not both allow this."""

    code = "consent-denied"


class PackageTrust(Trust, Protocol):
    def package_installed(self, name: str, version: str, compare: Compare) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """An order beside what the machine knows of it."""

    leaves: Sequence[Leaf]
    known: Mapping[int, tuple[Leaf, str]]
    assigned: Mapping[int, Assigned]
    rollbacks: Mapping[str, bytes]


class Enforcement:
    def __init__(
        self,
        *,
        catalog: LocalCatalog,
        policy: LocalPolicy,
        trust: PackageTrust,
        platform: Platform,
        content: Content | None = None,
    ) -> None:
        """`content`: where the platform's files come from, if it takes any from the site."""
        self._catalog = catalog
        self._policy = policy
        self._trust = trust
        self._platform = platform
        self._content = content

    def boot_id(self) -> str:
        return self._platform.uptime().boot_id

    def restart_pending(self) -> bool:
        return self._platform.uptime().restart_pending

    def consent(self, order: Order, *, now: float) -> None:
        """Ask whether anything may be fetched for this order; nothing is touched here.

        Raises:
            ConsentDenied, TrustRefused: it may not be installed.
        """
        self._trust.refresh(now)
        plan = self._plan(order)
        self._ask(may_stage, order, plan, verified=frozenset(), now=now)
        self._refuse_older(plan, now=now)

    def download(self, order: Order) -> None:
        """Fetch what the platform takes from the site, by the digests that consent was given to.

        Raises:
            DownloadFailed: a file could not be had, or what came was another.
        """
        wanted = self._platform.wanted(self._plan(order).leaves)
        if not wanted:
            return
        if self._content is None:
            raise ContentUnreachable("this agent has no place for files")
        for file in wanted:
            self._content.fetch(file.sha256, file.size_bytes)

    def tidy(self, orders: Iterable[Order]) -> None:
        """Remove the files that none of these orders wants."""
        if self._content is not None:
            plans = (self._plan(order) for order in orders)
            wanted = (file for plan in plans for file in self._platform.wanted(plan.leaves))
            self._content.keep_only({file.sha256 for file in wanted})

    def stage(self, order: Order, *, now: float) -> None:
        """Have everything at hand and verified.

        Raises:
            ConsentDenied, TrustRefused: it may not be installed.
        """
        self._permitted(order, now=now)

    def install(self, order: Order, *, now: float) -> Installed:
        """Install; return whether a restart is needed, and for what.

        Raises:
            ConsentDenied, TrustRefused: it may not be installed any more.
            InstallFailed: the platform could not.
        """
        leaves = self._permitted(order, now=now)
        was_pending = self.restart_pending()
        self._platform.install(leaves)
        compare = self._compare()
        for leaf in leaves:
            named: tuple[LeafFile | PackageFloor, ...] = (*leaf.packages, *leaf.floors)
            for package in named:
                self._trust.package_installed(package.name, package.version, compare)
        says_so = any(leaf.restart is Restart.ALWAYS for leaf in leaves)
        return Installed(self.restart_pending(), for_others=was_pending and not says_so)

    def repair(self) -> None:
        self._platform.repair()

    def restart(self) -> None:
        self._platform.restart()

    def _plan(self, order: Order) -> _Plan:
        known = self._catalog.leaves()
        return _Plan(
            leaves=[known[number][0] for number in order.updates if number in known],
            known=known,
            assigned=self._policy.assigned(order.id),
            rollbacks=self._policy.rollbacks(order.id),
        )

    def _permitted(self, order: Order, *, now: float) -> Sequence[Leaf]:
        """Return the leaves, staged, if all consent still stands; staged only if it did before."""
        plan = self._plan(order)
        self._ask(may_stage, order, plan, verified=frozenset(), now=now)
        self._refuse_older(plan, now=now)  # another order may have raised a floor since
        verified = self._platform.stage(plan.leaves)
        self._ask(may_install, order, plan, verified=verified, now=now)
        return plan.leaves

    def _ask(
        self, may: Ask, order: Order, plan: _Plan, *, verified: frozenset[int], now: float
    ) -> None:
        verdict = may(
            [_candidate(plan.known, number, verified) for number in order.updates],
            catalog={leaf.number: _listed(leaf, role) for leaf, role in plan.known.values()},
            assigned=plan.assigned,
            now=now,
        )
        if isinstance(verdict, Deny):
            raise ConsentDenied("; ".join(f"{n}: {why}" for n, why in verdict.reasons))

    def _refuse_older(self, plan: _Plan, *, now: float) -> None:
        compare = self._compare()
        for file in (file for leaf in plan.leaves for file in leaf.packages):
            leave = plan.rollbacks.get(file.name, b"")
            self._trust.check_package(file.name, file.version, compare, order=leave, now=now)

    def _compare(self) -> Compare:
        """Return the version order of the machine's own packages."""
        key = PACKAGE_ORDER[next(iter(self._platform.facts().packages), PackageFormat.DEB)]

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
        is_understood=leaf.evaluator is not Evaluator.UNSUPPORTED,
    )


def _files(leaf: Leaf) -> frozenset[tuple[bytes, int]]:
    return frozenset((file.sha256, file.size_bytes) for file in leaf.files)
