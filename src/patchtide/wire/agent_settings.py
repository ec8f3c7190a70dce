"""What a site wants of its agents' habits, version 1: how often they scan, by which proxy, whether
they hold others back that install updates, what whoever sits there may put off, and when nothing
is changed.

It travels inside the signed answer to a check-in, as bytes that are kept as they came: a field that
only a newer agent knows is then there once the agent is newer. A machine names what it has by a
mark, so the document is sent when it changed and not else. Nothing here is trusted beyond its
limits: whoever reads it bounds it.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated

from msgspec import Meta, Struct

from patchtide.wire.messages import Text, encode

MARK_BYTES = 8
Seconds = Annotated[int, Meta(ge=0, lt=2**32)]
Times = Annotated[int, Meta(ge=0, lt=2**32)]


class AnchorV1(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Days by a vendor's calendar, as `domain.schedules.recurrence.OnCycle` counts them."""

    cycle: Text
    days_after: Annotated[int, Meta(ge=-366, le=366)] = 0
    for_days: Annotated[int, Meta(ge=1, le=366)] = 1
    at: Text = "04:00"
    zone: Text = "UTC"


class ProxyV1(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """How the server is reached; it tunnels, and what is verified is not its matter.

    It has no account: no secret that machines share travels to them (S11).
    """

    address: Text
    direct: Annotated[tuple[Text, ...], Meta(max_length=64)] = ()


class FreezeV1(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Nothing is changed from then to then, in wall time: 2026-12-18 18:00.

    Why is not said: that may be a matter of others than who sits there.
    """

    begins: Text
    ends: Text
    is_utc: bool = False
    """By UTC, and not by the machine's own clock."""


class AgentSettingsV1(
    Struct, kw_only=True, frozen=True, omit_defaults=True, tag_field="t", tag="settings1"
):
    """What is not said is as the agent begins with. The poll interval is in every answer."""

    scan_every_s: Seconds = 0
    anchor: AnchorV1 | None = None
    proxy: ProxyV1 | None = None
    takes_over: bool = False
    """Others that install updates on the machine are to be held back."""
    postpone_times: Times | None = None
    postpone_s: Seconds | None = None
    freezes: Annotated[tuple[FreezeV1, ...], Meta(max_length=400)] = ()


NOTHING_SAID = AgentSettingsV1()


def mark_of(data: bytes) -> bytes:
    """Return what names these settings in a check-in; nothing for none."""
    return sha256(data).digest()[:MARK_BYTES] if data else b""


def sealed(settings: AgentSettingsV1) -> tuple[bytes, frozenset[bytes]]:
    """Return the document as it travels, and the marks of those who need not be sent it."""
    data = encode(settings)
    marks = {mark_of(data)} | ({b""} if settings == NOTHING_SAID else set())
    return data, frozenset(marks)
