"""Reports become files one by one, and only for whoever has the place a report is made."""

from __future__ import annotations

import asyncio
import io
from typing import BinaryIO

import pytest

from patchtide.domain.errors import TooMuch
from patchtide.server.named_report import Report
from patchtide.server.ports.report_files import ReportForm
from patchtide.server.report_desk import WAITING, ReportDesk

pytestmark = pytest.mark.anyio


class NoFiles:
    def written(self, report: Report, form: ReportForm) -> BinaryIO:
        return io.BytesIO()


async def test_a_crowd_of_reports_holds_one_fleet_and_has_an_end() -> None:
    desk, goes_on = ReportDesk(NoFiles()), asyncio.Event()
    made: list[int] = []

    async def make() -> int:
        made.append(len(made))
        await goes_on.wait()
        return made[-1]

    crowd = [asyncio.create_task(desk.in_turn(make, lambda _, n: n)) for _ in range(WAITING + 2)]
    await asyncio.wait({crowd[-1]})
    made_meanwhile = len(made)
    goes_on.set()

    assert isinstance(crowd.pop().exception(), TooMuch)
    assert await asyncio.gather(*crowd) == list(range(WAITING + 1))
    assert made_meanwhile == 1
    assert await desk.in_turn(make, lambda _, n: n) == WAITING + 1
