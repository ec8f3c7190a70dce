"""Named reports as programs ask for them: a page, a file, and nothing for whoever may not read."""

from __future__ import annotations

import csv
import io

import pytest

from patchtide.domain.access.rights import Kind, Right, Verb
from tests.integration.http.plane import AdministratorsPlane

pytestmark = pytest.mark.anyio


@pytest.fixture
async def plane() -> AdministratorsPlane:
    made = AdministratorsPlane()
    for name in ("web-1", "web-2", "=db"):
        await made.machine(name)
    return made


async def test_a_report_says_whom_it_speaks_of_and_as_of_when(plane: AdministratorsPlane) -> None:
    token = await plane.token(role="auditor")

    answer = await plane.ask("GET", "/api/v1/reports/overall?machines=web", token=token)

    report = answer.json
    assert (report["members"], report["reporting"], report["silent"]) == (2, 0, 2)
    assert report["not_reporting"] == {"never-reported": 2}
    assert report["at"] == f"{plane.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    unknown = next(row for row in report["items"] if row["cells"]["standing"] == "unknown")
    assert unknown["cells"] | {"machines": 2, "of_members": 100.0} == unknown["cells"]
    assert unknown["links"]["machines"] == "/reports/by-machine?machines=web&state=unknown"


async def test_a_file_holds_all_rows_and_computes_nothing(plane: AdministratorsPlane) -> None:
    token = await plane.token(role="auditor")

    answer = await plane.ask("GET", "/api/v1/reports/silent/csv?limit=1", token=token)

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="silent-')
    rows = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    assert {row["name"] for row in rows} == {"web-1", "web-2", "'=db"}
    assert {row["why"] for row in rows} == {"has enrolled, and never checked in"}


MISTAKES = {
    "there is no such list": ("overall?list=nothing", 404),
    "there is no such search": ("overall?search=nothing", 404),
    "two say which updates": ("overall?list=a&query=b", 400),
    "a query that cannot be read": ("overall?machines=platform%20%3D", 400),
    "a state that this report has not": ("by-machine?state=lost", 400),
    "a column that it has not": ("by-machine?sort=colour", 400),
    "a report about one machine, without it": ("machine", 400),
    "no such report": ("weather", 400),
}


@pytest.mark.parametrize(("path", "status"), MISTAKES.values(), ids=MISTAKES)
async def test_a_mistake_is_named(plane: AdministratorsPlane, path: str, status: int) -> None:
    token = await plane.token(role="auditor")

    answer = await plane.ask("GET", f"/api/v1/reports/{path}", token=token)

    assert answer.status == status, answer.body
    assert answer.json["detail"]


@pytest.mark.parametrize("kind", [Kind.MACHINES, Kind.CATALOG])
async def test_who_may_not_read_both_machines_and_updates_sees_nothing(
    plane: AdministratorsPlane, kind: Kind
) -> None:
    token = await plane.token(rights=frozenset({Right(kind, Verb.READ)}))

    paths = ("reports", "reports/overall", "reports/overall/csv")
    answers = [await plane.ask("GET", f"/api/v1/{path}", token=token) for path in paths]

    assert [answer.status for answer in answers] == [404, 404, 404]
