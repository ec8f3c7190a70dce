"""Whose calendar somebody sets whose right to change collections ends at some: that of these alone.

What he sets touches nobody but who goes by these: windows are united with those of the machines'
other collections, and a freeze of any of these beats them all.
"""

from __future__ import annotations

from patchtide.domain.access.grants import visible
from patchtide.domain.access.principals import Anonymous, Principal
from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.domain.errors import NotFound, Refused
from patchtide.server.ports.calendar import Entry, EntryKind

MODIFY = Right(Kind.COLLECTIONS, Verb.MODIFY)


def check_whose(principal: Principal, entry: Entry) -> None:
    """Let whoever may, put this in the calendar.

    Raises:
        NotFound: it is of a collection that is none of his, of a location, or of all machines.
    """
    held = frozenset[Right]() if isinstance(principal, Anonymous) else principal.rights
    places = visible(held, MODIFY).places
    if places is not None and (entry.collection is None or str(entry.collection) not in places):
        raise NotFound("there is no such entry in the calendar of your collections")


def check_may_change(principal: Principal, was: Entry) -> None:
    """Let whoever may, change this or take it away.

    Raises:
        NotFound: as when he puts it in.
        Refused: it is a freeze, and somebody else froze what is his.
    """
    check_whose(principal, was)
    is_others = was.by != principal.actor
    if was.kind is EntryKind.FREEZE and is_others and not _may_everywhere(principal):
        raise Refused(f"somebody else froze it: this needs the right {MODIFY} everywhere")


def _may_everywhere(principal: Principal) -> bool:
    held = frozenset[Right]() if isinstance(principal, Anonymous) else principal.rights
    return visible(held, MODIFY).is_everything
