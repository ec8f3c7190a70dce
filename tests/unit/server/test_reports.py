"""What a node concludes from a report, however often it hears that the report is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from patchtide.server.admission import Caller
from patchtide.server.ports.clients import ClientState, Standing
from patchtide.server.ports.reports import Accepted, IncomingReport, Outcome
from patchtide.server.reports import ReportIntake
from patchtide.server.standings import Entry
from patchtide.wire.messages import ReportV1
from patchtide.wire.request_signature import SignatureClaim
from tests.simulator.clock import FakeClock

pytestmark = pytest.mark.anyio


class Stored:
    """A storage that has every report already."""

    async def accept(self, reports: Sequence[IncomingReport], *, now: float) -> list[Accepted]:
        return [Accepted(Outcome.REPEATED)] * len(reports)


async def test_a_stored_report_that_a_node_first_hears_of_is_concluded_from_once() -> None:
    """The process beside stored it, and was gone before it could answer."""
    standing = Standing(
        number=1,
        uuid=bytes(16),
        public_key=bytes(32),
        state=ClientState.ACTIVE,
        counter=6,
        scan_wanted=5,
    )
    entry, anything = Entry(standing), cast("Any", None)
    intake = ReportIntake(
        reports=cast("Any", Stored()),
        door=anything,
        standings=anything,
        clones=anything,
        inventories=anything,
        clock=FakeClock(),
    )
    said = ReportV1(
        counter=7, lineage=bytes(16), shards={}, digest=bytes(32), scan_for=5, restored=True
    )
    claim = SignatureClaim(key_id="", counter=7, created=0, base=b"", signature=b"")
    caller = Caller(entry, claim)

    await intake.take(caller, said)
    concluded = entry.scan_wanted, len(entry.restores)
    entry.scan_wanted = 5
    await intake.take(caller, said)

    assert concluded == (0, 1)
    assert (entry.scan_wanted, len(entry.restores)) == (5, 1)
