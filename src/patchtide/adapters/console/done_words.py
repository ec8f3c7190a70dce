"""What a page says was done just now."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_DONE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "approve": ("machine", "approved"),
        "full-report": ("machine", "asked for a full report"),
        "describe": ("machine", "described"),
        "scan": ("machine", "asked to scan"),
        "policy": ("machine", "called to come, at once or when it next checks in"),
        "imported": ("machine", "new or changed by the file"),
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
        "make-window": ("window", "made"),
        "change-window": ("window", "changed"),
        "delete-window": ("window", "deleted"),
        "make-freeze": ("freeze", "set"),
        "change-freeze": ("freeze", "changed"),
        "delete-freeze": ("freeze", "deleted: windows hold again"),
        "collected": ("machine", "put into the collection"),
        "uncollected": ("machine", "taken out of the collection"),
        "make-list": ("list", "made"),
        "rename-list": ("list", "renamed"),
        "delete-list": ("list", "deleted"),
        "listed": ("update", "put on the list"),
        "unlisted": ("update", "taken off the list"),
        "disable": ("person", "disabled"),
        "enable": ("person", "enabled"),
        "vouch": ("person", "vouched for"),
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
_CHOSEN = frozenset({"machine", "person", "token", "update"})
"""Of these one or many are chosen at once."""
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
        "approve-proposal": "Approved. Once enough have, whoever proposed it can have it done.",
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
    if int(count) == 1 and noun not in _CHOSEN:
        return f"{noun.capitalize()} {verb}."
    some = noun if int(count) == 1 else _PLURALS.get(noun, f"{noun}s")
    return f"{int(count)} {some} {verb}."
