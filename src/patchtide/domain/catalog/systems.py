"""How releases of operating systems are called, by feeds and machines alike: `debian-12`, `rhel-9`.

With Red Hat's system and its kin what is for 9 is for 9.4 too; elsewhere each version is a
release of its own, such as SUSE's 15.6.
"""

from __future__ import annotations

from collections.abc import Iterable

_WITH_MINORS = frozenset({"rhel", "centos", "fedora"})


def has_minors(os_id: str, like: Iterable[str]) -> bool:
    """Say whether a version's first number is the release. `like`: the words of ID_LIKE."""
    return not _WITH_MINORS.isdisjoint((os_id, *like))


def shard_of(os_id: str, version: str, like: Iterable[str] = ()) -> str:
    """Return the shard of a system by its ID, VERSION_ID and ID_LIKE."""
    return f"{os_id}-{version.partition('.')[0] if has_minors(os_id, like) else version}"
