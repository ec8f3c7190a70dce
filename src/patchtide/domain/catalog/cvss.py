"""The base score of CVSS 3.0 and 3.1, from a vector: what FIRST's specification says.

Vendors' own words for a severity come first; this is for advisories that hold only a vector.
"""

from __future__ import annotations

from collections.abc import Mapping

from patchtide.domain.catalog.details import Severity

_WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "PR": {"N": 0.85, "L": 0.62, "H": 0.27},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
_BEYOND_SCOPE = {"N": 0.85, "L": 0.68, "H": 0.5}
"""The weight of the privileges required where what is hit lies beyond their scope."""
_LEAST: tuple[tuple[float, Severity], ...] = (
    (9.0, Severity.CRITICAL),
    (7.0, Severity.IMPORTANT),
    (4.0, Severity.MODERATE),
    (0.1, Severity.LOW),
)


def base_score(vector: str) -> float | None:
    """Return the score, 0.0 to 10.0; None: it is no such vector."""
    version, _, rest = vector.partition("/")
    if version not in ("CVSS:3.0", "CVSS:3.1"):
        return None
    said = dict(part.split(":", 1) for part in rest.split("/") if ":" in part)
    scope = said.get("S")
    try:
        weights = {metric: known[said[metric]] for metric, known in _WEIGHTS.items()}
    except KeyError:
        return None
    if scope not in ("U", "C"):
        return None
    if scope == "C":
        weights["PR"] = _BEYOND_SCOPE[said["PR"]]
    return _score(weights, changed=scope == "C", later=version == "CVSS:3.1")


def _score(weights: Mapping[str, float], *, changed: bool, later: bool) -> float:
    lost = 1 - (1 - weights["C"]) * (1 - weights["I"]) * (1 - weights["A"])
    impact = 7.52 * (lost - 0.029) - 3.25 * (lost - 0.02) ** 15 if changed else 6.42 * lost
    if impact <= 0:
        return 0.0
    ease = 8.22 * weights["AV"] * weights["AC"] * weights["PR"] * weights["UI"]
    whole = impact + ease
    return _rounded_up(min(1.08 * whole if changed else whole, 10.0), later=later)


def _rounded_up(score: float, *, later: bool) -> float:
    """To one decimal; 3.1 does it in whole numbers, so that no machine's fractions matter."""
    if not later:
        return -(-round(score * 10, 9) // 1) / 10
    whole = round(score * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (whole // 10_000 + 1) / 10


def severity_of(score: float) -> Severity:
    """Return the word for a score, Red Hat's important for FIRST's high."""
    return next((word for least, word in _LEAST if score >= least), Severity.NONE)
