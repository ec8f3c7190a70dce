"""Operations on when machines may be changed: windows, freezes, business hours."""

from __future__ import annotations

from typing import Any

from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.server import (
    business_hours,
    calendar_entries,
    calendar_month,
    freezes,
    openings,
    windows,
)
from patchtide.server.calendar_feed import MEDIA_TYPE
from patchtide.server.covered import LIFTS
from patchtide.server.table import API, SAFE_METHODS, Operation, Plane

_READ = Right(Kind.COLLECTIONS, Verb.READ)
_MODIFY = Right(Kind.COLLECTIONS, Verb.MODIFY)
_EXAMPLE = "--comes cycle --days-after 3 --at 22:00 --length-min 240"


def _operation(
    name: str, method: str, path: str, right: Right, sentence: str, **more: Any
) -> Operation:
    return Operation(
        name=name,
        plane=Plane.ADMINISTRATORS,
        method=method,
        path=API + path,
        policy=right,
        sentence=sentence,
        audited=method not in SAFE_METHODS,
        **more,
    )


WINDOWS = (
    _operation(
        "windows.list",
        "GET",
        "/windows",
        _READ,
        "List the maintenance windows, and when each opens next.",
        input=calendar_entries.OfCollection,
        output=windows.WindowList,
        handler=windows.list_windows,
        columns=("collection_name", "name", "words", "next", "id"),
        example="windows list --collection 'Web servers'",
        narrows=True,
    ),
    _operation(
        "windows.create",
        "POST",
        "/collections/{collection}/windows",
        _MODIFY,
        "Give a collection a maintenance window.",
        input=windows.CreateWindow,
        output=windows.ShownWindow,
        handler=windows.create_window,
        status=201,
        example=f"windows create --collection 'Web servers' --name 'Patch night' {_EXAMPLE}",
        narrows=True,
    ),
    _operation(
        "windows.change",
        "PUT",
        "/windows/{window}",
        _MODIFY,
        "Say anew when a maintenance window is open; what is not said, as windows begin.",
        input=windows.ChangeWindow,
        output=windows.ShownWindow,
        handler=windows.change_window,
        example="windows change --window 0f0f0f0f-0f0f-8f0f-8f0f-0f0f0f0f0f0f --name 'Patch night'"
        f" {_EXAMPLE}",
        narrows=True,
    ),
    _operation(
        "windows.delete",
        "DELETE",
        "/windows/{window}",
        _MODIFY,
        "Delete a maintenance window; machines without any may be changed at any time.",
        input=windows.OneWindow,
        handler=windows.delete_window,
        status=204,
        example="windows delete 0f0f0f0f-0f0f-8f0f-8f0f-0f0f0f0f0f0f",
        narrows=True,
    ),
    _operation(
        "windows.preview",
        "GET",
        "/window-preview",
        _READ,
        "Say when a maintenance window would open, before there is one.",
        input=openings.PreviewWindow,
        output=openings.Previewed,
        handler=openings.preview,
        columns=("local_begins", "local_ends", "minutes"),
        example=f"windows preview {_EXAMPLE} --zone Europe/Berlin",
        narrows=True,
    ),
    _operation(
        "windows.openings",
        "GET",
        "/openings",
        _READ,
        "List when a machine, or a collection by its own windows, may be changed.",
        also=(Right(Kind.MACHINES, Verb.READ),),
        input=openings.ListOpenings,
        output=openings.OpeningList,
        handler=openings.list_openings,
        columns=("local_begins", "local_ends", "minutes"),
        example="windows openings --collection 'Web servers' --days 90",
        narrows=True,
    ),
    _operation(
        "windows.month",
        "GET",
        "/calendar",
        _READ,
        "Show a month day by day: windows, freezes and holidays of a machine or of a collection.",
        also=(Right(Kind.MACHINES, Verb.READ),),
        input=calendar_month.MonthOf,
        output=calendar_month.CalendarMonth,
        handler=calendar_month.show_month,
        columns=("day", "when", "kind", "title"),
        example="windows month --collection 'Web servers' --month 2026-12",
        narrows=True,
    ),
    _operation(
        "windows.ask",
        "GET",
        "/machines/{machine}/permission",
        Right(Kind.MACHINES, Verb.READ),
        "Say whether a machine may be changed now, until when, and if not, when next and why.",
        input=openings.AskMachine,
        output=openings.Answer,
        handler=openings.ask_machine,
        example="windows ask web-1 --minutes 90",
        narrows=True,
    ),
    _operation(
        "windows.feed",
        "GET",
        "/collections/{collection}/windows.ics",
        _READ,
        "Give a collection's windows and freezes as a calendar for other programs.",
        input=openings.FeedOf,
        handler=openings.feed,
        media_types=(MEDIA_TYPE,),
        example="windows feed 'Web servers'",
        narrows=True,
    ),
    _operation(
        "windows.feed-machine",
        "GET",
        "/machines/{machine}/windows.ics",
        _READ,
        "Give all windows and freezes by which a machine goes as a calendar for other programs.",
        also=(Right(Kind.MACHINES, Verb.READ),),
        input=openings.FeedOfMachine,
        handler=openings.feed_machine,
        media_types=(MEDIA_TYPE,),
        example="windows feed-machine web-1",
        narrows=True,
    ),
)
FREEZES = (
    _operation(
        "freezes.list",
        "GET",
        "/freezes",
        _READ,
        "List the freezes: from when to when collections are not changed, and why.",
        input=calendar_entries.OfCollection,
        output=freezes.FreezeList,
        handler=freezes.list_freezes,
        columns=("collection_name", "begins", "ends", "clock", "reason", "id"),
        narrows=True,
    ),
    _operation(
        "freezes.create",
        "POST",
        "/collections/{collection}/freezes",
        _MODIFY,
        "Freeze a collection: whatever windows say, only an emergency changes its machines.",
        input=freezes.CreateFreeze,
        output=freezes.ShownFreeze,
        handler=freezes.create_freeze,
        status=201,
        example="freezes create --collection 'Web servers' --begins '2026-12-18 18:00'"
        " --ends '2027-01-04 06:00' --reason \"year's end\"",
        narrows=True,
    ),
    _operation(
        "freezes.change",
        "PUT",
        "/freezes/{freeze}",
        _MODIFY,
        "Say anew from when to when a freeze holds, and why.",
        input=freezes.ChangeFreeze,
        output=freezes.ShownFreeze,
        handler=freezes.change_freeze,
        four_eyes=LIFTS,
        example="freezes change --freeze 0f0f0f0f-0f0f-8f0f-8f0f-0f0f0f0f0f0f"
        " --begins '2026-12-18 18:00' --ends '2026-12-28 06:00' --reason Christmas",
        narrows=True,
    ),
    _operation(
        "freezes.delete",
        "DELETE",
        "/freezes/{freeze}",
        _MODIFY,
        "Delete a freeze: windows hold again at once.",
        input=freezes.OneFreeze,
        handler=freezes.delete_freeze,
        four_eyes=LIFTS,
        status=204,
        example="freezes delete 0f0f0f0f-0f0f-8f0f-8f0f-0f0f0f0f0f0f",
        narrows=True,
    ),
)
HOURS = (
    _operation(
        "hours.list",
        "GET",
        "/business-hours",
        _READ,
        "List the business hours of the site, of locations and of collections.",
        output=business_hours.HoursList,
        handler=business_hours.list_hours,
        columns=("whose", "words", "changed_by", "changed_at"),
        narrows=True,
    ),
    _operation(
        "hours.set",
        "PUT",
        "/business-hours",
        _MODIFY,
        "Set business hours and holidays, of the site, of a location or of a collection.",
        input=business_hours.SetHours,
        output=business_hours.ShownHours,
        handler=business_hours.set_hours,
        example="hours set --location Ulm --begins 07:00 --ends 16:00 --zone Europe/Berlin"
        " --holidays '12-25 Christmas'",
        narrows=True,
    ),
    _operation(
        "hours.clear",
        "POST",
        "/business-hours/removals",
        _MODIFY,
        "Take business hours back: those of the location hold, or of the site.",
        input=business_hours.WhoseHours,
        handler=business_hours.clear_hours,
        status=204,
        example="hours clear --location Ulm",
        narrows=True,
    ),
)
CALENDAR = (*WINDOWS, *FREEZES, *HOURS)
