"""The agents' plane, version 1: enrol, check in, report, inventory. MessagePack, map form.

The sets in a report are `wire.sets` forms, packed. A reader ignores fields it does not know;
a new field has a default, so N-2 readers and writers keep working.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from patchtide.domain.errors import InvalidDocument, Problem

Text = Annotated[str, Meta(max_length=256)]
Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
Uuid = Annotated[bytes, Meta(min_length=16, max_length=16)]
Counter = Annotated[int, Meta(ge=1, lt=2**53)]
Serial = Annotated[int, Meta(ge=0, lt=2**53)]
EpochS = Annotated[int, Meta(ge=0, lt=2**33)]
"""Seconds of an agent's clock: until 2242, so that whoever shows it can."""
Packed = Annotated[bytes, Meta(max_length=1 << 20)]
Shards = Annotated[dict[Text, Serial], Meta(max_length=64)]
INVENTORY_LIMITS: Mapping[str, int] = MappingProxyType(
    {"packages": 4 << 20, "hardware": 1 << 20, "facts": 1 << 20}
)
"""Every kind of inventory there is, and how many bytes its body may have, unpacked."""
ScanState = Literal["none", "running", "completed", "waiting-catalog", "failed", "retrying"]


class EnrolV1(Struct, kw_only=True, frozen=True, omit_defaults=True, tag_field="t", tag="enrol1"):
    """Asks for an identity. Signed by the very key it brings (keyid is its SHA-256, hex)."""

    token: Annotated[str, Meta(max_length=512)]
    public_key: Key
    machine: Digest
    """SHA-256 over the site's id and the machine-id: the same machine, without telling its id."""
    name: Text
    agent_version: Text = ""
    platform: Text = ""


class EnrolledV1(
    Struct, kw_only=True, frozen=True, omit_defaults=True, tag_field="t", tag="enrolled1"
):
    client: Uuid
    site: Text
    root: bytes
    """The trust root (TUF root.json, version 1 or newer) that the agent embeds."""
    answer_key: Key
    """Signs the server's answers; rotated by enrolling again or by policy."""
    waiting: bool = False
    """True until an administrator has approved the machine."""


class HealthV1(Struct, kw_only=True, frozen=True, omit_defaults=True):
    agent_version: Text = ""
    boot_id: Text = ""
    restart_pending: bool = False
    floor_lost: bool = False
    degraded: Text = ""
    trust_seen: Annotated[dict[Text, Digest], Meta(max_length=8)] = {}
    """Role -> SHA-256 of the metadata last accepted (root, timestamp, snapshot): S44."""
    aborted_transfers: Annotated[int, Meta(ge=0, lt=2**31)] = 0
    faults: Annotated[tuple[Text, ...], Meta(max_length=16)] = ()
    """What the machine finds wrong with itself, by code (domain.findings), in their order."""
    taken_over: Annotated[tuple[Text, ...], Meta(max_length=16)] = ()
    """Who would install updates there too, and is held back for as long as the site wants it."""


class CheckInV1(
    Struct, kw_only=True, frozen=True, omit_defaults=True, tag_field="t", tag="checkin1"
):
    counter: Counter
    shards: Shards = {}
    envelope: Serial = 0
    digest: bytes = b""
    """State digest as last acknowledged; empty when nothing was."""
    health: HealthV1 = HealthV1()
    inventory: Annotated[dict[Text, Digest], Meta(max_length=8)] = {}
    """Kind -> digest of the list as it is now; only what the server may not have heard of yet."""
    settings: Annotated[bytes, Meta(max_length=8)] | None = None
    """Mark of the settings it was told (wire.agent_settings); None: it takes none."""


class CheckInAnswerV1(
    Struct, kw_only=True, frozen=True, omit_defaults=True, tag_field="t", tag="checked1"
):
    """What is newer. An answer with nothing to say is 204 with a Patchtide-Next-Poll header."""

    next_poll_s: int
    shards: Shards = {}
    envelope: bytes = b""
    """A newer signed envelope (wire.policy), when there is one."""
    full_report: bool = False
    inventory: tuple[Text, ...] = ()
    """Kinds of inventory the server lacks."""
    root_version: Serial = 0
    scan: EpochS = 0
    """When somebody asked for a scan that is still owed, by the server's clock; 0: nobody did."""
    settings: Annotated[bytes, Meta(max_length=32 << 10)] = b""
    """Other settings than the client named (wire.agent_settings), when there are."""


class JumpV1(Struct, kw_only=True, frozen=True, omit_defaults=True, tag_field="t", tag="jump1"):
    """Signed refusal of a counter from the past: go on at `expected`, report everything."""

    expected: Counter
    nonce: bytes


class AgainV1(Struct, kw_only=True, frozen=True, omit_defaults=True, tag_field="t", tag="again1"):
    """Signed refusal: send it anew. `now` (epoch seconds) lets the agent compute an offset."""

    now: Annotated[float, Meta(ge=0, le=1e11)]
    reason: Text = ""


class ChangesV1(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Numbers moved since the report with digest `base`. A number is in at most one state."""

    base: Digest
    required: Packed = b""
    installed: Packed = b""
    unknown: Packed = b""
    gone: Packed = b""
    """Numbers that are in no set any more (not required, or no longer in the catalog)."""


class FullV1(Struct, kw_only=True, frozen=True, omit_defaults=True):
    required: Packed = b""
    installed: Packed = b""
    unknown: Packed = b""


class EventV1(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One step of enforcement, or something the administrator must hear of."""

    at: EpochS
    code: Text
    update: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    detail: Annotated[str, Meta(max_length=1024)] = ""


class ReportV1(Struct, kw_only=True, frozen=True, omit_defaults=True, tag_field="t", tag="report1"):
    """A client's states; exactly one of `full` and `changes`, or neither (only events)."""

    counter: Counter
    lineage: Uuid
    shards: Shards
    digest: Digest
    """Digest of the state after this report."""
    boot_id: Text = ""
    full: FullV1 | None = None
    changes: ChangesV1 | None = None
    scan: ScanState = "none"
    scanned_at: EpochS = 0
    scan_error: Annotated[str, Meta(max_length=1024)] = ""
    events: Annotated[tuple[EventV1, ...], Meta(max_length=256)] = ()
    restored: bool = False
    """True in the first report after a jump."""
    aged_catalog: bool = False
    scan_for: EpochS = 0
    """The `scan` of a check-in's answer that this scan is for; 0: nobody asked for it."""


class InventoryV1(Struct, kw_only=True, frozen=True, tag_field="t", tag="inventory1"):
    """A content-addressed list (packages, hardware, facts): `digest` is of the unpacked `body`."""

    kind: Text
    digest: Digest
    body: Annotated[bytes, Meta(max_length=4 << 20)]


M = TypeVar("M", bound=Struct)
_decoders: dict[type[Struct], msgspec.msgpack.Decoder[Struct]] = {}
_encoder = msgspec.msgpack.Encoder()


def encode(message: Struct) -> bytes:
    return _encoder.encode(message)


def decode(data: bytes, kind: type[M]) -> M:
    """Return the message, checked against its type.

    Raises:
        InvalidDocument: not MessagePack, not this type, or a value out of its bounds.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    try:
        return decoder.decode(data)  # type: ignore[return-value]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidDocument([Problem(kind.__name__, str(error))]) from error
