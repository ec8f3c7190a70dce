"""A package does not go back by itself: TUF protects versions of metadata, not of what it names.

Going back takes an order with a reason and an end, signed by two publishers, used once.
"""

from __future__ import annotations

from hashlib import sha256

from patchtide.adapters.trust.floors import FloorStore
from patchtide.agent.ports.trust import Compare, PackageRollbackRefused
from patchtide.wire.policy import Keys, PolicyRefused, RollbackOrderV1, open_approved

APPROVERS = 2


def check_package(
    floors: FloorStore,
    name: str,
    version: str,
    compare: Compare,
    *,
    order: bytes,
    keys: Keys,
    now: float,
) -> None:
    """Refuse a version below the package's floor, unless the order allows it now."""
    known = floors.package(name)
    if known is None or compare(version, known) >= 0:
        return
    if not order:
        raise PackageRollbackRefused(f"{name} {version} is older than {known}")
    try:
        found = open_approved(order, RollbackOrderV1, keys=keys, approvers=APPROVERS)
    except PolicyRefused as error:
        raise PackageRollbackRefused(f"the order for {name} is refused: {error}") from error
    if (found.package, found.version) != (name, version):
        raise PackageRollbackRefused(f"the order is for {found.package} {found.version}")
    if found.expires <= now:
        raise PackageRollbackRefused(f"the order for {name} has expired")
    # By its meaning, not its bytes: other signatures over the same order are the same order.
    digest = sha256(b"\0".join((name.encode(), version.encode(), found.nonce))).digest()
    if not floors.use_order(digest, expires=found.expires, name=name, version=version):
        raise PackageRollbackRefused(f"the order for {name} was used before")
