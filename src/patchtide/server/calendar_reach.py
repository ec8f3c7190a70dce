"""Whose calendar somebody sets whose right to change collections ends at some: that of these alone.

What he sets touches nobody but who goes by these: windows are united with those of the machines'
other collections, and a freeze of any of these beats them all.
"""

from __future__ import annotations

from patchtide.domain.access.grants import visible
from patchtide.domain.access.principals import Anonymous, Principal
from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.domain.errors import NotFound, Refused, WrongState
from patchtide.server.calendar_book import MOST
from patchtide.server.ports.calendar import Entry, EntryKind
from patchtide.server.ports.decisions import Transaction

MOST_OF_ONE = 100
"""Windows, freezes and business hours of a collection together, if one adds some whose right ends
there."""
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
        Refused: somebody else set it.
    """
    check_whose(principal, was)
    if was.by != principal.actor and not _may_everywhere(principal):
        raise Refused(f"somebody else set it: this needs the right {MODIFY} everywhere")


def check_may_thaw(principal: Principal) -> None:
    """Raises Refused: by this a machine goes by a freeze no more, and such he does not lift."""
    if not _may_everywhere(principal):
        raise Refused(f"its schedule is frozen: this needs the right {MODIFY} everywhere")


def check_room(tx: Transaction, principal: Principal, entry: Entry) -> None:
    """Let it in beside the others: whose right ends somewhere uses up nobody's room.

    Raises:
        WrongState: there are too many.
    """
    if entry.kind is not EntryKind.FREEZE and tx.calendar.count() >= MOST:
        raise WrongState(f"the calendar has {MOST} entries already; delete some that are over")
    if entry.collection is None or _may_everywhere(principal):
        return
    if len(tx.calendar.of(entry.collection)) >= MOST_OF_ONE:
        raise WrongState(f"{MOST_OF_ONE} are set for it already; delete some that are over")


def _may_everywhere(principal: Principal) -> bool:
    held = frozenset[Right]() if isinstance(principal, Anonymous) else principal.rights
    return visible(held, MODIFY).is_everything
