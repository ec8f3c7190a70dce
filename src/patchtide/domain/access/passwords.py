"""What a password must be. Length counts; character classes only make people write them down."""

from __future__ import annotations

from itertools import pairwise

SHORTEST = 12
LONGEST = 256
_FEW = 5


def weaknesses(password: str, *, name: str) -> tuple[str, ...]:
    """Return every reason why this is no password for that person; none: it is one."""
    plain = password.casefold()
    checks = (
        (len(password) < SHORTEST, f"is shorter than {SHORTEST} characters"),
        (len(password) > LONGEST, f"is longer than {LONGEST} characters"),
        (len(set(plain)) < _FEW, "repeats the same few characters"),
        (_is_only(name.casefold(), plain), "is only your name"),
        (_is_a_row(plain), "only counts up or down"),
    )
    return tuple(what for is_so, what in checks if is_so)


def _is_only(name: str, text: str) -> bool:
    return name != "" and text != "" and text.replace(name, "") == ""


def _is_a_row(text: str) -> bool:
    steps = {ord(b) - ord(a) for a, b in pairwise(text)}
    return len(steps) == 1 and steps <= {1, -1}
