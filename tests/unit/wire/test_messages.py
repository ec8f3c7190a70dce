"""Messages of every released version stay readable: golden files, read by today's types."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchtide.domain.errors import InvalidDocument
from patchtide.wire.agent_settings import AgentSettingsV1, AnchorV1, ProxyV1, mark_of
from patchtide.wire.messages import (
    AgainV1,
    ChangesV1,
    CheckInAnswerV1,
    CheckInV1,
    EnrolledV1,
    EnrolV1,
    EventV1,
    FullV1,
    HealthV1,
    InventoryV1,
    JumpV1,
    ReportV1,
    decode,
    encode,
)
from patchtide.wire.sets import encode_set, pack

GOLDEN = Path(__file__).parents[2] / "golden" / "messages"
D, U, K = bytes(range(32)), bytes(range(16)), b"k" * 32

MESSAGES: dict[str, msgspec.Struct] = {
    "enrol1": EnrolV1(
        token="pt1.id.secret",
        public_key=K,
        machine=D,
        name="web-1",
        agent_version="0.1.0",
        platform="debian-12",
    ),
    "enrolled1": EnrolledV1(client=U, site="main", root=b"{}", answer_key=K, waiting=True),
    "checkin1": CheckInV1(
        counter=9,
        shards={"debian-12": 4},
        digest=D,
        health=HealthV1(agent_version="0.1.0", boot_id="b", trust_seen={"root": D}),
    ),
    "checked1": CheckInAnswerV1(
        next_poll_s=3600, shards={"debian-12": 5}, full_report=True, root_version=1
    ),
    "checked1-scan": CheckInAnswerV1(next_poll_s=3600, scan=1_790_000_000),
    "checkin1-faults": CheckInV1(
        counter=9, health=HealthV1(faults=("clock", "unattended-upgrades"))
    ),
    "checkin1-settings": CheckInV1(counter=9, settings=mark_of(b"settings")),
    "checked1-settings": CheckInAnswerV1(next_poll_s=900, settings=encode(AgentSettingsV1())),
    "settings1": AgentSettingsV1(
        scan_every_s=14_400,
        anchor=AnchorV1(
            cycle="patch-tuesday", days_after=1, for_days=5, at="06:30", zone="Europe/Berlin"
        ),
    ),
    "settings1-proxy": AgentSettingsV1(
        proxy=ProxyV1(address="http://proxy:3128", direct=(".example.org",))
    ),
    "jump1": JumpV1(expected=1009, nonce=U),
    "again1": AgainV1(now=1_790_000_000.5, reason="signature-too-old"),
    "report1-full": ReportV1(
        counter=10,
        lineage=U,
        shards={"debian-12": 5},
        digest=D,
        full=FullV1(required=b"r", installed=b"i"),
        scan="completed",
        scanned_at=1_790_000_000,
    ),
    "report1-changes": ReportV1(
        counter=11,
        lineage=U,
        shards={"debian-12": 6},
        digest=D,
        changes=ChangesV1(base=D, required=b"r", gone=b"g"),
        events=(EventV1(at=1, code="floor-lost", update=7, detail="x"),),
        restored=True,
    ),
    "report1-scan": ReportV1(
        counter=12,
        lineage=U,
        shards={"debian-12": 6},
        digest=D,
        scan="completed",
        scanned_at=1_790_000_060,
        scan_for=1_790_000_000,
    ),
    "inventory1": InventoryV1(kind="packages", digest=D, body=b"body"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_golden_message_reads_and_writes_as_ever(name: str) -> None:
    golden = bytes.fromhex((GOLDEN / f"{name}.hex").read_text())

    assert decode(golden, type(MESSAGES[name])) == MESSAGES[name]
    assert encode(MESSAGES[name]) == golden


@pytest.mark.parametrize("name", MESSAGES)
def test_fields_of_a_newer_version_are_passed_over(name: str) -> None:
    newer = msgspec.msgpack.decode(encode(MESSAGES[name])) | {"added_in_v9": [1, {"a": None}]}

    assert decode(msgspec.msgpack.encode(newer), type(MESSAGES[name])) == MESSAGES[name]


BAD: dict[str, bytes] = {
    "another message": encode(MESSAGES["jump1"]),
    "deeply nested": b"\x91" * 100_000 + b"\x00",
    "a counter of zero": encode(CheckInV1(counter=0)),
    "a short digest": encode(CheckInV1(counter=1, health=HealthV1(trust_seen={"root": b"x"}))),
    "sixty-five shards": encode(CheckInV1(counter=1, shards={str(n): 1 for n in range(65)})),
    "cut short": encode(MESSAGES["checkin1"])[:-1],
    "two messages": encode(MESSAGES["checkin1"]) * 2,
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_a_wrong_message_is_one_clear_error(data: bytes) -> None:
    with pytest.raises(InvalidDocument, match="CheckInV1: "):
        decode(data, CheckInV1)


@settings(max_examples=300)
@given(
    st.binary(max_size=400),
    st.sampled_from([EnrolV1, CheckInV1, ReportV1, InventoryV1, AgentSettingsV1]),
)
def test_any_bytes_are_a_message_or_refused(data: bytes, kind: type[msgspec.Struct]) -> None:
    try:
        message = decode(data, kind)
    except InvalidDocument:
        return
    assert decode(encode(message), kind) == message


def test_who_takes_no_settings_is_told_from_who_was_told_none() -> None:
    before_there_were_any = decode(encode(CheckInV1(counter=1)), CheckInV1)
    told_nothing_yet = decode(encode(CheckInV1(counter=1, settings=b"")), CheckInV1)

    assert (before_there_were_any.settings, told_nothing_yet.settings) == (None, b"")


def test_a_first_report_of_300_states_fits_in_a_kilobyte() -> None:
    states = encode_set(range(70_000, 73_000, 10))
    report = ReportV1(
        counter=1,
        lineage=U,
        shards={"debian-12": 1},
        digest=D,
        full=FullV1(required=pack(states), installed=pack(encode_set(range(80_000, 80_040)))),
    )

    assert len(encode(report)) < 1000
