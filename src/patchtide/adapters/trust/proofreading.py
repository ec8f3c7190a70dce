"""What a draft would put in force, in words for whoever signs it, and what no draft may say.

Who signs looks at this on a machine of their own, and the server is the one they look out for: so
everything that a signature vouches for is shown, and what no honest server drafts is refused here
and not only when it is adopted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice

from tuf.api.metadata import DelegatedRole, Root, Targets

from patchtide.adapters.trust.layout import TARGETS, Signable, no_delegations, paths_of
from patchtide.domain.errors import Refused


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that metadata says: of what, and which; a comparison goes by both."""

    of: str
    what: str


def check_shape(role: str, metadata: Signable) -> None:
    """Refuse what no server drafts.

    Raises:
        Refused
    """
    if flaw := shape_flaw(role, metadata):
        raise Refused(f"{role}: {flaw}")


def shape_flaw(role: str, metadata: Signable) -> str:
    """Say what no server drafts: other delegations than the layout's, files that are not its own.

    Empty: there is nothing of the kind.
    """
    return "; ".join(islice(_flaws(role, metadata), 3))


def statements(metadata: Signable) -> list[Said]:
    """Return everything that a signature under this metadata vouches for, but its version."""
    signed = metadata.signed
    delegating = signed if isinstance(signed, Root) else getattr(signed, "delegations", None)
    roles, keys = (delegating.roles or {}, delegating.keys) if delegating else ({}, {})
    found = []
    for name, role in roles.items():
        found.append(Said(name, f"{role.threshold} of {len(role.keyids)} keys sign"))
        for key_id in sorted(role.keyids):
            # The key itself: metadata may call another key by the same id.
            key = keys[key_id].keyval.get("public", "none")
            found.append(Said(name, f"key {key} (id {key_id})"))
        if isinstance(role, DelegatedRole):
            found += [Said(name, f"may sign {path}") for path in role.paths or ()]
            found.append(Said(name, "alone" if role.terminating else "and others after it"))
    targets = getattr(signed, "targets", {})
    for path, target in sorted(targets.items()):
        found.append(Said(path, f"sha256 {target.hashes.get('sha256', 'missing')}"))
    return found


def differences(before: Signable | None, after: Signable) -> list[tuple[str, Said]]:
    """Return what a draft takes away (-) and adds (+), compared with nothing or with another."""
    old, new = statements(before) if before else [], statements(after)
    gone, come = set(old) - set(new), set(new) - set(old)
    found = [("-", x) for x in old if x in gone] + [("+", x) for x in new if x in come]
    return sorted(found, key=lambda pair: pair[1].of)


def check_one_file(
    role: str, before: Signable | None, after: Signable, *, path: str, data: bytes
) -> None:
    """Refuse a draft of a role that changes anything but that one file, to this content.

    Raises:
        Refused
    """
    check_shape(role, after)
    if before is not None and after.signed.version <= before.signed.version:
        raise Refused(f"{role}: version {after.signed.version} is not above what was signed")
    target = getattr(after.signed, "targets", {}).get(path)
    if target is None or target.length != len(data) or target.hashes != _hashes(data):
        raise Refused(f"{role}: it does not name {path} as it was looked at")
    if strange := [said for _, said in differences(before, after) if said.of != path]:
        raise Refused(f"{role}: it changes {strange[0].of} too: {strange[0].what}")


def _hashes(data: bytes) -> dict[str, str]:
    return {"sha256": sha256(data).hexdigest()}


def _flaws(role: str, metadata: Signable) -> Iterator[str]:
    signed = metadata.signed
    if not isinstance(signed, Targets):
        return
    if role != TARGETS and signed.delegations is not None:
        yield "it delegates to others"
    if role == TARGETS and not _delegates_as_laid_out(signed):
        yield "it delegates otherwise than every site does"
    own = DelegatedRole(role, [], 1, terminating=True, paths=paths_of(role))
    yield from (
        f"it may not sign {path}" for path in signed.targets if not own.is_delegated_path(path)
    )


def _delegates_as_laid_out(signed: Targets) -> bool:
    laid_out, given = no_delegations().roles or {}, signed.delegations
    if given is None or given.succinct_roles is not None or given.roles is None:
        return False
    return [_reach(x) for x in given.roles.values()] == [_reach(x) for x in laid_out.values()]


def _reach(role: DelegatedRole) -> tuple[object, ...]:
    return role.name, role.paths, role.path_hash_prefixes, role.terminating
