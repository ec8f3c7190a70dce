"""The words of maintenance windows, freezes and business hours."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

DECISIONS: Mapping[str, str] = MappingProxyType(
    {
        "windows.create": "Made a maintenance window",
        "windows.change": "Changed a maintenance window",
        "windows.delete": "Deleted a maintenance window",
        "freezes.create": "Froze a collection",
        "freezes.change": "Changed a freeze",
        "freezes.delete": "Deleted a freeze",
        "hours.set": "Set business hours",
        "hours.clear": "Took business hours back",
    }
)
DONE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "make-window": ("window", "made"),
        "change-window": ("window", "changed"),
        "delete-window": ("window", "deleted"),
        "make-freeze": ("freeze", "set"),
        "change-freeze": ("freeze", "changed"),
        "delete-freeze": ("freeze", "deleted: windows hold again"),
    }
)
COMES: Mapping[str, str] = MappingProxyType(
    {
        "cycle": "by a vendor's calendar, as Patch Tuesday",
        "weeks": "on days of the week",
        "days": "every day, or every so many days",
        "weekday": "on a weekday of the month, as the third Saturday",
        "month-day": "on a day of the month",
        "once": "once",
    }
)
NTH = ("first", "second", "third", "fourth", "last")
CLOCKS: Mapping[str, str] = MappingProxyType({"machine": "each machine's own clock", "utc": "UTC"})
COVERS: Mapping[str, str] = MappingProxyType(
    {"everything": "everything", "updates": "updates only"}
)
