"""What an alert says: what is watched, what was measured, and where the limit is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from patchtide.domain.alerts.rules import Rule, Unit, Watched

_SAID: Mapping[Watched, str] = MappingProxyType(
    {
        Watched.COMPLIANCE: "{value} of the active machines are up to date{of}, fewer than {limit}",
        Watched.SCAN_FAILURES: "{value} of the active machines could not look for updates",
        Watched.SILENCE: "{value} of the active machines were not heard of late",
        Watched.WAITING_REPORTS: "{value} reports wait to be stored",
        Watched.INDEX_LAG: "the view of the fleet has been behind for {value}",
        Watched.SYNCHRONISATIONS: "{value} synchronisations failed one after the other",
        Watched.DISK: "the disk of the server's home is {value} full",
        Watched.DIVERGENCE: "{value} documents of metadata not signed here were seen within a day",
        Watched.CLONES: "{value} machines were quarantined as clones within a day",
        Watched.PROPOSALS: "{value} proposals for a second person were made within a day",
        Watched.LIMITS: "somebody was stopped by the limits per hour, or set them, {value} times"
        " within a day",
    }
)


def sentence(rule: Rule, value: float) -> str:
    """Return what was measured, as the log, people and programs read it."""
    of = f" on what “{rule.query}” finds" if rule.query else ""
    said = _SAID[rule.watched].format(
        value=amount(value, rule.unit), limit=amount(rule.limit, rule.unit), of=of
    )
    return said if rule.watched is Watched.COMPLIANCE else f"{said}; the limit is {_limit(rule)}"


def unmeasured(rule: Rule) -> str:
    """Return why a rule guards nothing as it is."""
    if rule.query:
        return f"it cannot be measured: “{rule.query}” finds nothing, or no machine is active"
    return "it cannot be measured: no machine is active"


def amount(value: float, unit: Unit) -> str:
    match unit:
        case Unit.PERCENT:
            return f"{_short(value)} %"
        case Unit.SECONDS:
            return f"{_short(value)} s"
        case Unit.COUNT:
            return _short(value)


def _limit(rule: Rule) -> str:
    return amount(rule.limit, rule.unit)


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
