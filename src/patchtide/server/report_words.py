"""The words of reports, and of the console, for what the server calls by short names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

STANDINGS: Mapping[str, str] = MappingProxyType(
    {
        "required": "Needs updates",
        "restart": "Needs a restart",
        "compliant": "Up to date",
        "unknown": "Unknown",
    }
)
STATES: Mapping[str, str] = MappingProxyType(
    {
        "required": "Needed",
        "installed": "Installed",
        "not-required": "Not needed",
        "unknown": "Unknown",
    }
)
DOUBTS: Mapping[str, str] = MappingProxyType(
    {
        "": "",
        "never-reported": "has not reported yet",
        "not-active": "is not let in",
        "stale": "has not reported for too long",
        "scan-failed": "could not look for updates",
        "not-scanned": "has not looked for updates yet",
        "other-catalog": "speaks of another catalog",
        "old-catalog": "looked with a catalog that is too old for some updates",
        "some-unknown": "could not judge some updates",
    }
)
SCANS: Mapping[str, str] = MappingProxyType(
    {
        "none": "Never looked",
        "running": "Looking",
        "completed": "Completed",
        "waiting-catalog": "Waits for the catalog",
        "failed": "Failed",
        "retrying": "Failed, tries again",
    }
)
SEVERITIES: Mapping[str, str] = MappingProxyType(
    {
        "critical": "Critical",
        "important": "Important",
        "moderate": "Moderate",
        "low": "Low",
        "none": "Not rated",
    }
)
RISKS: Mapping[str, str] = MappingProxyType(
    {"emergency": "Emergency", "high": "High", "medium": "Medium", "low": "Low"}
)
TARGET_STATES: Mapping[str, str] = MappingProxyType(
    {"late": "Late", "open": "In time", "met": "Met"}
)
LACKS: Mapping[str, str] = MappingProxyType(
    {
        "no-owner": "Have no owner",
        "no-schedule": "Have no valid schedule",
        "no-window": "Their schedule has no window",
        "no-management-group": "Have no management group",
        "no-restart-code": "Have no restart code",
    }
)
AILMENTS: Mapping[str, str] = MappingProxyType(
    {
        "silent": "Not heard of late",
        "never-heard": "Enrolled, never checked in",
        "never-reported": "Never reported",
        "stale": "Report too old",
        "scan-failed": "Could not look for updates",
        "not-scanned": "Never looked for updates",
        "other-catalog": "Speaks of another catalog",
        "agent": "Agent in trouble",
        "clock": "Clock off",
        "space": "Disk full",
        "updaters": "Others install updates, too",
        "old-agent": "Agent too old",
        "quarantined": "Quarantined",
        "waiting": "Waits for approval too long",
        "expected": "Expected, never enrolled",
        "missing": "Missing from inventory",
    }
)
SCHEDULES: Mapping[str, str] = MappingProxyType(
    {
        "none": "None",
        "gone": "Its collection is gone",
        "no-window": "Its collection has no window",
        "valid": "Valid",
    }
)
OUTLOOKS: Mapping[str, str] = MappingProxyType(
    {
        "reached": "reached",
        "expected": "expected",
        "not-at-this-rate": "not at this rate",
        "too-little-known": "too little is known",
    }
)
GROUPINGS: Mapping[str, str] = MappingProxyType(
    {
        "platform": "Platform",
        "group": "Group",
        "owner": "Owner",
        "exposure": "Exposure",
        "location": "Location",
        "site": "Site",
        "management-group": "Management group",
        "machine": "Machine",
    }
)
