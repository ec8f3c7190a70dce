"""The words that people read for what the server calls by short names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from patchtide.adapters.console import calendar_words
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
PROPOSED: Mapping[str, str] = MappingProxyType(
    {
        "api-tokens.create": "Make an administrator's token",
        "users.create": "Add a person",
        "users.link": "Make a sign-in link",
        "users.role": "Change a person's role",
        "users.enable": "Enable a person",
        "roles.define": "Define a role",
        "roles.remove": "Remove a role",
        "settings.set-limits": "Raise the limits per hour",
        "settings.set-four-eyes": "Ask less for a second person",
        "settings.set-second-factor": "Let administrators in without a key",
        "collections.change": "Change who is in a collection",
        "collections.add": "Put machines into a collection",
        "collections.remove": "Take machines out of a collection",
        "collections.delete": "Delete a collection",
        "machines.decommission": "Retire a machine",
        "machines.describe": "Describe machines",
        "machines.import": "Import what is said of machines",
        "settings.set-agents": "Set how agents go about",
        "settings.set-collection-agents": "Set how a collection's agents go about",
        "settings.clear-collection-agents": "Have a collection's agents go about as the site's",
    }
)
"""What can wait for a second person."""
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
DECISIONS: Mapping[str, str] = MappingProxyType(
    {
        "agents.enrol": "Enrolled",
        "machines.approve": "Approved",
        "machines.quarantine": "Quarantined",
        "machines.release": "Released",
        "machines.decommission": "Retired",
        "machines.full-report": "Asked for a full report",
        "machines.import": "Imported what is said of it",
        "machines.describe": "Described",
        "machines.scan": "Asked for a scan",
        "machines.hand-over": "Handed over: in build no more",
        "machines.get-policy": "Called to come for settings and orders",
        "collections.get-policy": "Called machines to come for settings and orders",
        "collections.scan": "Asked the machines of a collection for scans",
        "machines.repair": "Had it report or scan, since something was wrong",
        "lists.scan": "Asked for scans because of a list",
        "tokens.create": "Made an enrolment token",
        "tokens.revoke": "Revoked an enrolment token",
        "tokens.miss": "Showed an enrolment token that is for another machine",
        "api-tokens.create": "Made an API token",
        "api-tokens.revoke": "Revoked an API token",
        "users.create": "Added a person",
        "users.link": "Made a sign-in link",
        "users.sign-in-link": "Made a sign-in link",
        "users.role": "Changed a role",
        "roles.define": "Defined a role",
        "settings.set-limits": "Set the limits per hour",
        "limits.reached": "Was stopped by the limits per hour",
        "roles.remove": "Removed a role",
        "users.password": "Changed the own password",
        "settings.set-four-eyes": "Set what waits for a second person",
        "proposals.propose": "Proposed what waits for a second person",
        "proposals.approve": "Approved a proposal",
        "proposals.reject": "Rejected a proposal",
        "proposals.withdraw": "Withdrew a proposal",
        "proposals.enact": "Had a proposal done",
        "proposals.void": "Found a proposal void",
        "users.disable": "Disabled a person",
        "users.enable": "Enabled a person",
        "sessions.sign-in": "Signed in",
        "sessions.enter": "Signed in by a link",
        "sessions.failed": "Failed to sign in",
        "sessions.prove": "Proved anew who they are",
        "sessions.show-key": "Showed a security key",
        "keys.add": "Registered a security key",
        "keys.rename": "Renamed a security key",
        "keys.remove": "Removed a security key",
        "keys.stop": "A security key was stopped: its count went back",
        "settings.set-second-factor": "Set whether a security key is required",
        "sessions.sign-out": "Signed out",
        "sessions.welcome": "Chose a password",
        "site.bootstrap": "Claimed the site",
        "site.mark-restored": "Marked the database as put back",
        "catalog.publish": "Published updates",
        "publisher.draft": "Drafted custom updates",
        "publisher.sign": "Signed custom updates",
        "catalog.draft": "Held a draft of custom updates",
        "catalog.withdraw-draft": "Withdrew a draft that nobody signed",
        "catalog.synchronise": "Asked for a synchronisation",
        "catalog.synchronised": "Ended a synchronisation",
        "catalog.accept-older": "Let an older feed count",
        "catalog.withdraw": "Took a shard out of force",
        "feeds.test": "Tested the ways to the feeds",
        "catalog.reschedule": "Set when to synchronise",
        "catalog.select": "Chose which updates to take",
        "catalog.make-export": "Exported the catalog",
        "catalog.take-in": "Took in another site's catalog",
        "catalog.trust-exporter": "Pinned a site whose catalogs count",
        "catalog.distrust-exporter": "Unpinned a site",
        "searches.save": "Saved a search",
        "searches.rename": "Renamed a search",
        "searches.delete": "Deleted a search",
        "searches.keep": "Saved a search of their own",
        "searches.rename-own": "Renamed a search of their own",
        "searches.share": "Shared a search",
        "searches.discard": "Deleted a search of their own",
        "lists.create": "Made a list of updates",
        "lists.add": "Added updates to a list",
        "lists.rename": "Renamed a list of updates",
        "lists.remove": "Took updates off a list",
        "lists.delete": "Deleted a list of updates",
        **calendar_words.DECISIONS,
        "collections.create": "Made a collection",
        "collections.change": "Changed a collection",
        "collections.add": "Put machines into a collection",
        "collections.remove": "Took machines out of a collection",
        "collections.delete": "Deleted a collection",
        "updates.rate": "Rated an update",
        "updates.accept-licence": "Accepted licence terms",
        "settings.set-target": "Set the target of a risk class",
        "settings.set-agents": "Set how often machines check in and scan",
        "settings.set-agents-proxy": "Set the proxy of machines",
        "settings.set-health": "Set from when on a machine ails",
        "settings.set-collection-agents": "Set how often a collection's machines scan",
        "settings.clear-collection-agents": "Let a collection's machines scan as the site says",
        "catalog.forget": "Removed expired updates",
        "catalog.begin": "Began the catalog",
        "alerts.test": "Tested a channel",
        "channels.define": "Defined a channel",
        "channels.remove": "Removed a channel",
        "subscriptions.add": "Subscribed to a report",
        "subscriptions.test": "Had a report sent now",
        "subscriptions.remove": "Removed a subscription",
        "subscriptions.send": "Sent a report, or could not",
        "alerts.define": "Defined an alert",
        "alerts.remove": "Removed an alert",
        "alerts.acknowledge": "Took on an alert",
        "alerts.measure": "Raised or ended an alert, or could not measure",
    }
)
OUTLOOKS, TARGET_STATES = report_words.OUTLOOKS, report_words.TARGET_STATES
_DONE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "approve": ("machine", "approved"),
        "full-report": ("machine", "asked for a full report"),
        "describe": ("machine", "described"),
        "scan": ("machine", "asked to scan"),
        "policy": (
            "machine",
            "called to come, at once or when it next checks in",
        ),
        "imported": ("machine", "said or changed by the file"),
        "release": ("machine", "released"),
        "quarantine": ("machine", "quarantined"),
        "decommission": ("machine", "retired"),
        "revoke": ("token", "revoked"),
        "rate": ("update", "rated"),
        "unrate": ("rating", "withdrawn"),
        "reschedule": ("schedule", "set"),
        "select": ("selection", "set"),
        "target": ("target", "set"),
        "accept": ("licence", "accepted"),
        "saved": ("search", "saved"),
        "share": ("search", "shared with everybody"),
        "rename-search": ("search", "renamed"),
        "delete-shared": ("search", "deleted"),
        "delete-own": ("search", "deleted"),
        "make-collection": ("collection", "made"),
        "change-collection": ("collection", "changed"),
        "delete-collection": ("collection", "deleted"),
        **calendar_words.DONE,
        "collected": ("machine", "put into the collection"),
        "uncollected": ("machine", "taken out of the collection"),
        "make-list": ("list", "made"),
        "rename-list": ("list", "renamed"),
        "delete-list": ("list", "deleted"),
        "listed": ("update", "put on the list"),
        "unlisted": ("update", "taken off the list"),
        "disable": ("person", "disabled"),
        "enable": ("person", "enabled"),
        "role": ("person", "given another role"),
        "define-alert": ("alert", "defined"),
        "remove-alert": ("alert", "removed"),
        "acknowledge": ("alert", "taken on"),
        "define-channel": ("channel", "defined"),
        "remove-channel": ("channel", "removed"),
        "subscribe": ("subscription", "set"),
        "unsubscribe": ("subscription", "removed"),
        "send-now": ("report", "on its way: it is sent within a minute"),
    }
)
_PLURALS: Mapping[str, str] = MappingProxyType({"person": "people", "search": "searches"})
_SAID: Mapping[str, str] = MappingProxyType(
    {
        "password": "Your password is changed. Every other session of yours has ended.",
        "role-defined": "The role is set; it holds for all who have it.",
        "hours": "The business hours are set.",
        "hours-back": "They are taken back: those of the location hold, or of the site.",
        "key-added": "The security key is registered. It is asked for after the password.",
        "key-renamed": "The security key is renamed.",
        "key-removed": "The security key is removed. Every other session of yours has ended.",
        "second-factor": "Set. It holds at once, for sessions that are open too.",
        "limits": "Set. What is lower holds from now on, what is higher in an hour.",
        "role-removed": "The role is removed.",
        "proposed": "Proposed. It is not done yet: it waits for others.",
        "approve-proposal": "Approved. Who proposed it has it done.",
        "reject-proposal": "Rejected. It will not be done.",
        "withdraw-proposal": "Withdrawn. It will not be done.",
        "enact-proposal": "Done.",
        "four-eyes": "Set. It holds for what is asked from now on.",
        "repaired": "Asked for what was missing. It comes with the machine's next check-in.",
        "health": "Set. The report of health goes by it.",
        "agents": "Set. Machines hear of it when they check in next.",
    }
)


def done(said: str) -> str:
    """Return what an address says was done just now, as `approve-3`; of anything else, nothing."""
    if said in _SAID:
        return _SAID[said]
    name, _, count = said.rpartition("-")
    if name not in _DONE or not count.isascii() or not count.isdigit() or len(count) > 6:
        return ""
    noun, verb = _DONE[name]
    many = noun if int(count) == 1 else _PLURALS.get(noun, f"{noun}s")
    return f"{int(count)} {many} {verb}."


def grant(text: str, places: Mapping[str, str]) -> str:
    """Return what somebody was handed, in words: a role or a right, and within what."""
    what, _, within = text.partition(rights.AT)
    is_role = what.startswith(grants.ROLE)
    name = role(what.removeprefix(grants.ROLE)) if is_role else what
    return f"{name} within {places.get(within, within)}" if within else name


def role(name: str, held: Sequence[str] = ()) -> str:
    """Return what a role is called; of rights that are none, how many they are."""
    if name:
        return ROLES.get(name, name)
    return "1 single right" if len(held) == 1 else f"{len(held)} single rights"
