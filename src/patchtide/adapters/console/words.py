"""The words that people read for what the server calls by short names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from patchtide.adapters.console import decision_words
from patchtide.domain.access import grants, rights
from patchtide.domain.findings import FAULTS as _FAULTS
from patchtide.domain.findings import UPDATERS
from patchtide.server import machine_attributes, report_words

RESTART_PENDING: Mapping[str, str] = MappingProxyType({"yes": "Waits for one", "no": "Needs none"})
STANDINGS: Mapping[str, str] = MappingProxyType(
    {
        **report_words.STANDINGS,
        "expected": "Expected",
        "waiting": "Waiting",
        "quarantined": "Quarantined",
        "decommissioned": "Retired",
    }
)
STATES = report_words.STATES
DOUBTS = report_words.DOUBTS
TAKEOVERS: Mapping[str, str] = MappingProxyType({"leave": "left at work", "take-over": "held back"})
FAULTS: Mapping[str, str] = MappingProxyType(
    {code: f"{words[0].upper()}{words[1:]}." for code, words in {**_FAULTS, **UPDATERS}.items()}
)
SEVERITIES = report_words.SEVERITIES
RISKS = report_words.RISKS
CLASSIFICATIONS: Mapping[str, str] = MappingProxyType(
    {
        "critical": "Critical update",
        "security": "Security",
        "definition": "Definition",
        "service-pack": "Service pack",
        "rollup": "Rollup",
        "feature-pack": "Feature pack",
        "tool": "Tool",
        "driver": "Driver",
        "general-update": "Update",
        "application": "Application",
        "": "Update",
    }
)
EXPOSURES: Mapping[str, str] = MappingProxyType(
    {
        "perimeter": "At the perimeter",
        "critical": "Critical",
        "server": "Server",
        "ordinary": "Ordinary",
        "laptop": "Laptop",
        "isolated": "Isolated",
    }
)
ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {name: one.heading for name, one in machine_attributes.ATTRIBUTES.items()}
)
RESTART_CODES: Mapping[str, str] = MappingProxyType(
    {
        "automatic": "By itself, when it is due",
        "none": "Never by itself",
        "interactive": "When its user agrees",
        "script": "With its own script before and after",
    }
)
_SCORED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "business": ("not needed", "business stands still without it"),
        "downtime": ("costs nothing", "costs the most"),
        "redundancy": ("others stand in", "nothing stands in"),
        "testing": ("no testing", "test after each change"),
        "complexity": ("simple", "hard to put right"),
        "distance": ("at hand", "nobody can be there soon"),
    }
)
SCORES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        name: {"0": f"0: {least}", "1": "1", "2": "2", "3": "3", "4": "4", "5": f"5: {most}"}
        for name, (least, most) in _SCORED.items()
    }
)


def said(attribute: str, text: str) -> str:
    """Return what is said of a machine as people read it."""
    known = {"exposure": EXPOSURES, "restart": RESTART_CODES, **SCORES}.get(attribute, {})
    return known.get(text, text)


FACTS: Mapping[str, str] = MappingProxyType(
    {
        "host_name": "Host name",
        "system": "System",
        "kernel": "Kernel",
        "architecture": "Architecture",
        "model": "Model",
        "processors": "Processors",
        "memory_bytes": "Memory",
        "address": "Address",
        "service": "Service",
    }
)
REACHES: Mapping[str, str] = MappingProxyType(
    {
        "anywhere": "from anywhere",
        "network": "from the same network",
        "account": "with an account on the machine",
    }
)
SCANS: Mapping[str, str] = MappingProxyType(
    {
        "none": "None yet",
        "asked": "Asked for",
        "running": "Running",
        "completed": "Completed",
        "waiting-catalog": "Waiting for the catalog",
        "failed": "Failed",
        "retrying": "Failed, tried again",
    }
)
RUNS: Mapping[str, str] = MappingProxyType(
    {"running": "Running", "done": "Done", "failed": "Failed", "interrupted": "Interrupted"}
)
CYCLES: Mapping[str, str] = MappingProxyType(
    {
        "patch-tuesday": "Patch Tuesday",
        "advance-notice": "the Thursday before Patch Tuesday",
        "preview-tuesday": "the fourth Tuesday",
        "android": "Android's Monday",
        "cisco": "Cisco's Wednesday",
        "oracle": "Oracle's Tuesday",
        "sap": "SAP's Tuesday",
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
STEPS: Mapping[str, str] = MappingProxyType(
    {
        "name": "The name is not known",
        "connection": "No connection",
        "proxy": "The proxy refuses",
        "tls": "TLS fails",
        "answer": "No answer",
        "account": "The account is refused",
        "status": "Not what is there",
        "channel": "Nothing to send with",
        "recipient": "Some of them were refused",
    }
)
ABOUT: Mapping[str, str] = MappingProxyType(
    {
        "list": "list",
        "search": "saved search",
        "query": "updates",
        "update": "one update",
        "machines": "machines",
        "machine": "one machine",
        "collection": "collection",
        "by": "side by side by",
        "state": "only",
        "doubt": "unknown because it",
        "error": "with the error",
        "sort": "sorted by",
        "days_back": "days back",
        "risk": "risk class",
    }
)
WATCHED: Mapping[str, str] = MappingProxyType(
    {
        "compliance": "Machines that are up to date",
        "scan-failures": "Machines that could not look",
        "silence": "Machines that are silent",
        "waiting-reports": "Reports that wait to be stored",
        "index-lag": "How far the view of the fleet is behind",
        "failed-synchronisations": "Synchronisations that failed in a row",
        "disk": "How full the disk is",
        "divergence": "Metadata that was never signed here, seen within a day",
        "proposals": "Proposals for a second person, within a day",
        "limits": "Somebody stopped by the limits per hour, or who set them, within a day",
        "clones": "Machines quarantined as clones, within a day",
    }
)
WHYS: Mapping[str, str] = MappingProxyType(
    {"first": "the first one", "schedule": "by schedule", "retry": "again after a failure"}
)
PROPOSALS: Mapping[str, str] = MappingProxyType(
    {
        "open": "Waits",
        "enacted": "Done",
        "rejected": "Rejected",
        "withdrawn": "Withdrawn",
        "void": "Void",
        "expired": "Expired",
    }
)
STATUSES: Mapping[str, str] = MappingProxyType(
    {"current": "Current", "superseded": "Superseded", "expired": "Expired"}
)
RESTARTS: Mapping[str, str] = MappingProxyType(
    {"never": "not needed", "may": "may be needed", "always": "needed"}
)
ROLES: Mapping[str, str] = MappingProxyType(
    {name: name.replace("-", " ").capitalize() for name in rights.ROLES}
)
DECISIONS, PROPOSED = decision_words.DECISIONS, decision_words.PROPOSED
OUTLOOKS, TARGET_STATES = report_words.OUTLOOKS, report_words.TARGET_STATES


def grant(text: str, places: Mapping[str, str]) -> str:
    """Return what somebody was handed, in words: a role or a right, and within what."""
    what, _, within = text.partition(rights.AT)
    is_role = what.startswith(grants.ROLE)
    name = role(what.removeprefix(grants.ROLE)) if is_role else what
    if within.startswith(rights.LIST):
        return f"{name} on the list {within.removeprefix(rights.LIST)}"
    return f"{name} within {places.get(within, within)}" if within else name


def role(name: str, held: Sequence[str] = ()) -> str:
    """Return what a role is called; of rights that are none, how many they are."""
    if name:
        return ROLES.get(name, name)
    return "1 single right" if len(held) == 1 else f"{len(held)} single rights"
