"""What a synchronisation changes in a shard: the feed's leaves held against those that are there.

A leaf is the same one when it is of the same update and for the same architectures; then it keeps
its number, and a change of anything else is a new revision. Equal leaves change nothing, so the
same input twice does nothing. Of leaves that are the same one the first to have come stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from patchtide.domain.catalog.details import FeedUpdate, Severity, UpdateDetails
from patchtide.domain.catalog.enrichment import MAX_CVES, MAX_TEXT
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import Architecture, nodes
from patchtide.domain.catalog.updates import Revision, UpdateId, UpdateNumber
from patchtide.domain.errors import Refused

UNNUMBERED = UpdateNumber(0)
"""A leaf that has no number yet; the publisher allots one."""
FIRST = Revision(1)

Identity = tuple[UpdateId, frozenset[str]]


class OfferedTwice(Refused):
    """A feed names the same leaf twice, so nobody can say which one is meant."""

    code = "offered-twice"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardChanges:
    """What to publish. `drops` are the numbers of leaves that the feed no longer names."""

    upserts: tuple[Leaf, ...]
    drops: tuple[UpdateNumber, ...]

    def __bool__(self) -> bool:
        return bool(self.upserts or self.drops)


def identity(leaf: Leaf) -> Identity:
    """Return what a leaf keeps through all revisions: its update, and for what it is."""
    named = (node.names for node in nodes(leaf.prerequisite) if isinstance(node, Architecture))
    return leaf.update, frozenset().union(*named)


def changes(
    held: Iterable[Leaf],
    offered: Iterable[Leaf],
    *,
    left: Iterable[Leaf] = (),
    only_new: bool = False,
) -> ShardChanges:
    """Return how the shard becomes what the feed offers. `only_new`: nothing held is touched.

    `left` are leaves that were there once: one that is named again has its old number.

    Raises:
        OfferedTwice
    """
    before: dict[Identity, Leaf] = {}
    twins: list[UpdateNumber] = []
    for leaf in sorted(held, key=lambda leaf: leaf.number):
        if before.setdefault(identity(leaf), leaf) is not leaf:
            twins.append(leaf.number)
    after: dict[Identity, Leaf] = {}
    for leaf in offered:
        if after.setdefault(identity(leaf), leaf) is not leaf:
            raise OfferedTwice(f"{leaf.title or leaf.update}")
    if only_new:
        after = {key: leaf for key, leaf in after.items() if key not in before}
    once = {identity(leaf): leaf for leaf in left}
    upserts = (
        _revised(before[key], leaf) if key in before else _entered(once.get(key), leaf)
        for key, leaf in after.items()
    )
    changed = (leaf for leaf in upserts if leaf is not None)
    if only_new:
        return ShardChanges(upserts=tuple(changed), drops=())
    gone = [leaf.number for key, leaf in before.items() if key not in after]
    return ShardChanges(upserts=tuple(changed), drops=tuple(sorted(gone + twins)))


def details_to_keep(
    held: Mapping[UpdateId, UpdateDetails],
    offered: Iterable[UpdateDetails],
    *,
    only_new: bool = False,
) -> list[UpdateDetails]:
    """Return what is to be stored: what the feed tells otherwise than before.

    That is a new revision; one that had expired and is named again is what it was. What was
    learnt of an update whose feed does not tell its CVEs stays with it. Of one that its vendor
    took back before anybody here heard of it nothing is kept. `only_new`: what is held and in
    force stays as it is.
    """
    return list(_to_keep(held, offered, only_new=only_new))


def _to_keep(
    held: Mapping[UpdateId, UpdateDetails], offered: Iterable[UpdateDetails], *, only_new: bool
) -> Iterator[UpdateDetails]:
    for details in offered:
        known = held.get(details.update)
        if details.expired_at is not None if known is None else only_new and not known.expired_at:
            continue
        kept = _as_revised(known, details)
        if kept != known:
            yield kept


def offered_leaves(updates: Iterable[FeedUpdate]) -> Iterator[Leaf]:
    """Return what machines are to evaluate: nothing of an update that its vendor took back."""
    return (leaf for update in updates if not update.details.expired_at for leaf in update.leaves)


def learnt(held: UpdateDetails, described: UpdateDetails) -> UpdateDetails:
    """Return the update with what was found out about it: no new revision, for it is the same."""
    return replace(
        held,
        description=described.description,
        severity=described.severity,
        cves=described.cves,
        released=described.released,
    )


def _as_revised(held: UpdateDetails | None, offered: UpdateDetails) -> UpdateDetails:
    if held is None:
        return offered
    told = _with_what_was_learnt(held, offered)
    same = replace(told, revision=held.revision)
    if same == replace(held, expired_at=same.expired_at):
        return same
    return replace(told, revision=held.revision + 1)


def _with_what_was_learnt(held: UpdateDetails, offered: UpdateDetails) -> UpdateDetails:
    if held.vendor_id != offered.vendor_id or held.cves is None:
        return offered
    if offered.cves is None:
        return learnt(offered, held)
    if held.released is None or offered.released is not None:
        return offered
    # Its feed tells neither: they were learnt of its changelog, and others speak of it since.
    return replace(
        offered,
        description=_joined(held.description, offered.description),
        severity=offered.severity if held.severity is Severity.NONE else held.severity,
        cves=tuple(sorted({*held.cves, *offered.cves})[:MAX_CVES]),
        released=held.released,
    )


def _joined(text: str, other: str) -> str:
    """Return the text with the other's paragraphs that it lacks, as far as there is room."""
    for paragraph in other.split("\n\n"):
        longer = f"{text}\n\n{paragraph}"
        if paragraph not in text and len(longer) <= MAX_TEXT:
            text = longer
    return text


def _entered(once: Leaf | None, offered: Leaf) -> Leaf:
    if once is None:
        return replace(offered, number=UNNUMBERED, revision=FIRST)
    return replace(offered, number=once.number, revision=Revision(once.revision + 1))


def _revised(held: Leaf, offered: Leaf) -> Leaf | None:
    same = replace(offered, number=held.number, revision=held.revision)
    return None if same == held else replace(same, revision=Revision(held.revision + 1))
