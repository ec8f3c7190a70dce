"""Windows, freezes and business hours by the interface, as an administrator asks for them."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.access.proposals import Rule
from patchtide.domain.access.rights import rights_of
from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.server import calendar_reach
from patchtide.server.calendar_book import packed
from patchtide.server.four_eyes import FOUR_EYES
from patchtide.server.ports.calendar import Entry, EntryKind
from patchtide.server.ports.decisions import Transaction
from patchtide.server.said_times import SaidFreeze
from tests.integration.http.plane import START, AdministratorsPlane, Answer

pytestmark = pytest.mark.anyio
PATCH_NIGHT = {
    "name": "Patch night", "comes": "cycle", "days_after": 3, "at": "22:00", "length_min": 240,
}  # fmt: skip


class Keeper:
    """A full administrator, a machine in a collection, and what they are asked."""

    def __init__(self, **plane: Any) -> None:
        self.plane = AdministratorsPlane(**plane)
        self.token = self.machine = self.collection = ""

    async def begin(self) -> None:
        self.token = await self.plane.token(role="full-administrator")
        self.machine = str(await self.plane.machine("web-1"))
        made = await self.do("POST", "/collections", name="Web", names=["web-1"])
        self.collection = made.json["id"]

    async def do(self, method: str, path: str, **document: Any) -> Answer:
        asked = document or None
        return await self.plane.ask(method, f"/api/v1{path}", token=self.token, document=asked)

    async def words(self, asked: str = "") -> str:
        answer = await self.do("GET", f"/machines/{self.machine}/permission{asked}")
        return str(answer.json["words"])


@pytest.fixture
async def keeper() -> Keeper:
    keeper = Keeper()
    await keeper.begin()
    return keeper


async def test_a_machine_goes_by_the_windows_of_its_collections_and_freezes_beat_them(
    keeper: Keeper,
) -> None:
    assert await keeper.words() == "Yes: no maintenance window binds this machine"

    made = await keeper.do("POST", f"/collections/{keeper.collection}/windows", **PATCH_NIGHT)
    assert made.json["words"] == "3 days after Patch Tuesday at 22:00 machine's time, for 4 h"
    assert "no maintenance window is open" in await keeper.words()
    assert "no time that comes is long enough" in await keeper.words("?minutes=300")

    year = f"{keeper.plane.clock.now():%Y}"
    frozen = await keeper.do(
        "POST",
        f"/collections/{ALL_MACHINES}/freezes",
        begins=f"{year}-01-01 00:00",
        ends=f"{year}-12-31 23:59",
        reason="the audit",
    )
    assert "(the audit)" in await keeper.words("?ignore_windows=true")
    assert await keeper.words("?ignore_windows=true&emergency=true") == (
        "Yes: this ignores maintenance windows"
    )

    refused = await keeper.do("DELETE", f"/collections/{keeper.collection}")
    assert "maintenance windows (1)" in refused.json["detail"]
    for gone in (f"/windows/{made.json['id']}", f"/freezes/{frozen.json['id']}"):
        assert (await keeper.do("DELETE", gone)).status == 204
    assert await keeper.words() == "Yes: no maintenance window binds this machine"


async def test_a_machine_goes_by_the_windows_of_its_schedule_as_of_its_collections(
    keeper: Keeper,
) -> None:
    made = await keeper.do("POST", "/collections", name="Night", names=[])
    night = made.json["id"]
    await keeper.do("POST", f"/collections/{night}/windows", **PATCH_NIGHT)
    before = await keeper.words()
    about = {"machines": [keeper.machine], "schedule": night}
    said = await keeper.do("POST", "/machine-descriptions", **about)
    by_schedule = await keeper.words()
    own = {**PATCH_NIGHT, "name": "Own", "at": "02:00"}
    await keeper.do("POST", f"/collections/{keeper.collection}/windows", **own)
    opens = (await keeper.do("GET", f"/openings?machine={keeper.machine}")).json
    month = (await keeper.do("GET", f"/calendar?machine={keeper.machine}")).json
    year = f"{keeper.plane.clock.now():%Y}"
    frozen = {"begins": f"{year}-01-01 00:00", "ends": f"{year}-12-31 23:59", "reason": "audit"}
    await keeper.do("POST", f"/collections/{night}/freezes", **frozen)

    assert before == "Yes: no maintenance window binds this machine" and said.status == 200
    assert "no maintenance window is open" in by_schedule
    names = {line.partition(":")[0] for line in opens["windows"].split("\n")}
    assert names == {mark["title"] for mark in month["items"]} == {"Own", "Patch night"}
    assert "(audit)" in await keeper.words()


async def test_a_change_stands_in_the_audit_with_what_was_before(keeper: Keeper) -> None:
    made = await keeper.do("POST", f"/collections/{keeper.collection}/windows", **PATCH_NIGHT)
    changed = {**PATCH_NIGHT, "at": "23:00"}
    await keeper.do("PUT", f"/windows/{made.json['id']}", **changed)

    audit = await keeper.do("GET", "/audit")
    [entry] = [one for one in audit.json["items"] if one["operation"] == "windows.change"]
    assert "22:00" in str(entry["detail"]) and "23:00" in str(entry["detail"])


async def test_every_mistake_in_a_window_is_told_at_once(keeper: Keeper) -> None:
    answer = await keeper.do(
        "POST",
        f"/collections/{keeper.collection}/windows",
        **{**PATCH_NIGHT, "comes": "once", "at": "25:00", "until": "soon"},
    )

    assert answer.status == 400
    for told in ("at: is a time of day", "until: is a day", "since: is missing"):
        assert told in str(answer.json["detail"])


NEVER = {
    "once, and over": ({"comes": "once", "since": "2025-02-03"}, "since: is past"),
    "until before it begins": (
        {"comes": "days", "since": "2027-01-01", "until": "2026-12-01"}, "until: is before",
    ),
    "on no day of the week": ({"comes": "weeks", "on": []}, "on: is missing"),
    "on a day that is none": ({"comes": "days", "since": "2026-02-30"}, "since: is a day"),
}  # fmt: skip


@pytest.mark.parametrize(("said", "told"), NEVER.values(), ids=NEVER)
async def test_a_window_that_would_never_open_is_refused(
    keeper: Keeper, said: dict[str, Any], told: str
) -> None:
    windows = f"/collections/{keeper.collection}/windows"

    answer = await keeper.do("POST", windows, name="Night", at="22:00", **said)

    assert answer.status == 400 and told in str(answer.json["detail"])


async def test_a_freeze_that_is_over_is_refused_and_one_may_end_early(keeper: Keeper) -> None:
    freezes, now = f"/collections/{keeper.collection}/freezes", keeper.plane.clock.now()
    begins, ends, later = (f"{now + timedelta(days=n):%F %H:%M}" for n in (-9, -3, 3))

    refused = await keeper.do("POST", freezes, begins=begins, ends=ends, reason="audit")
    made = await keeper.do("POST", freezes, begins=begins, ends=later, reason="audit")
    path = f"/freezes/{made.json['id']}"
    ended = await keeper.do("PUT", path, begins=begins, ends=ends, reason="audit")

    assert refused.status == 400 and "ends: is past" in str(refused.json["detail"])
    assert (made.status, ended.status) == (201, 200)


async def test_no_two_windows_of_a_collection_have_one_name(keeper: Keeper) -> None:
    own, everywhere = f"/collections/{keeper.collection}", f"/collections/{ALL_MACHINES}"
    shouted = {**PATCH_NIGHT, "name": "PATCH NIGHT"}

    made = [
        (await keeper.do("POST", f"{path}/windows", **said))
        for path, said in (
            (own, PATCH_NIGHT), (own, shouted), (everywhere, PATCH_NIGHT), (everywhere, shouted),
            (own, {**PATCH_NIGHT, "name": "Day"}),
        )
    ]  # fmt: skip
    night, day = (f"/windows/{made[n].json['id']}" for n in (0, 4))
    kept = await keeper.do("PUT", night, **{**shouted, "at": "23:00"})
    taken = await keeper.do("PUT", day, **PATCH_NIGHT)

    assert [one.status for one in made] == [201, 409, 201, 409, 201]
    assert made[1].json["detail"] == "Web has a window PATCH NIGHT already"
    assert made[3].json["detail"] == "All machines has a window PATCH NIGHT already"
    assert (kept.status, taken.status) == (200, 409)


async def test_business_hours_of_a_location_hold_where_nobody_set_any_for_a_collection(
    keeper: Keeper,
) -> None:
    every_day = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    all_day = {"on": every_day, "begins": "00:00", "ends": "00:00"}
    await keeper.do("PUT", "/business-hours", collection=keeper.collection, **all_day)
    assert "people work at this machine" in await keeper.words("?keep_out_of_hours=true")
    assert (await keeper.words()).startswith("Yes")

    await keeper.do("POST", "/business-hours/removals", collection=keeper.collection)
    listed = await keeper.do("GET", "/business-hours")
    assert [one["words"] for one in listed.json["items"]] == ["Monday to Friday, 08:00 to 18:00"]


async def test_a_calendar_program_gets_every_opening_with_its_instants(keeper: Keeper) -> None:
    window = {**PATCH_NIGHT, "clock": "utc", "name": "Nächte; und, mehr " + "x" * 60}
    await keeper.do("POST", f"/collections/{keeper.collection}/windows", **window)

    feed = await keeper.do("GET", f"/collections/{keeper.collection}/windows.ics")

    text = feed.body.decode()
    assert text.startswith("BEGIN:VCALENDAR\r\n") and text.endswith("END:VCALENDAR\r\n")
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert 12 <= text.count("BEGIN:VEVENT") <= 15
    unfolded = text.replace("\r\n ", "")
    assert r"SUMMARY:Nächte\; und\, mehr x" in unfolded


async def test_while_nobody_knows_who_is_in_a_collection_its_times_bind_everybody(
    keeper: Keeper,
) -> None:
    fleet = keeper.plane.context.fleet
    made = await keeper.do("POST", "/collections", name="Debian", query="os = debian")
    away = await keeper.do(
        "POST", "/collections", name="Others", names=["web-1"], exclude=[made.json["id"]]
    )
    for one in (made, away):
        found = await keeper.do("GET", f"/collections/{one.json['id']}")
        assert (found.json["machines"], bool(found.json["unknown_why"])) == (0, True)
        listed = await keeper.do("GET", f"/collections/{one.json['id']}/machines")
        assert (listed.status, listed.json["code"]) == (503, "unavailable")
    of_debian = f"/collections/{made.json['id']}"
    window = await keeper.do("POST", f"{of_debian}/windows", **PATCH_NIGHT)
    assert (await keeper.words()).startswith("Not now: nobody knows")
    assert (await keeper.words("?ignore_windows=true")).startswith("Yes")
    month = await keeper.do("GET", f"/calendar?machine={keeper.machine}")
    assert (month.json["has_windows"], month.json["is_unsure"]) == (False, True)
    await keeper.do("DELETE", f"/windows/{window.json['id']}")
    year = f"{keeper.plane.clock.now():%Y}"
    said = {"begins": f"{year}-01-01 00:00", "ends": f"{year}-12-31 23:59", "reason": "the audit"}
    await keeper.do("POST", f"{of_debian}/freezes", **said)
    assert "(the audit)" in await keeper.words()

    fleet.follow_facts()

    assert (await keeper.words()).startswith("Yes")
    found = await keeper.do("GET", f"/collections/{away.json['id']}")
    assert (found.json["machines"], found.json["unknown_why"]) == (1, "")


async def test_where_others_must_agree_nobody_alone_lifts_a_freeze_or_leaves_what_is_frozen(
    storage: Storage,
) -> None:
    keeper = Keeper(storage=storage)
    await keeper.begin()
    plane, of = keeper.plane, f"/collections/{keeper.collection}"
    year = plane.clock.now().year

    async def frozen(first: int, last: int) -> str:
        made = await keeper.do("POST", f"{of}/freezes", **until(f"{year}-12-01 00:00"))
        path = f"/freezes/{made.json['id']}"
        said = {"begins": f"{first}-01-02 00:00", "ends": f"{last}-12-01 00:00", "reason": "x"}
        await keeper.do("PUT", path, **said)
        return path

    def until(end: str, **more: Any) -> dict[str, Any]:
        return {"begins": f"{year}-01-02 00:00", "ends": end, "reason": "x", **more}

    window = (await keeper.do("POST", f"{of}/windows", **PATCH_NIGHT)).json["id"]
    inner = (await keeper.do("POST", "/collections", name="Inner", names=["web-1"])).json["id"]
    free = (await keeper.do("POST", "/collections", name="Free", names=["web-1"])).json["id"]
    await keeper.do("PUT", of, include=[inner])
    now, past = await frozen(year, year), await frozen(year - 1, year - 1)
    rule = msgspec.msgpack.encode(Rule(is_on=True))
    await plane.storage.decide("x", "x", lambda tx: tx.put_setting(FOUR_EYES, rule), now=START)

    told = [
        await keeper.do("PUT", now, **until(f"{year}-12-2T0:00")),
        await keeper.do("PUT", now, **until(f"{year}-12-01 00:00")),
        await keeper.do("PUT", now, **until(f"{year}-12-02 00:00", clock="utc")),
        await keeper.do("DELETE", now),
        await keeper.do("DELETE", past),
        await keeper.do("POST", f"{of}/removals", names=["web-1"]),
        await keeper.do("PUT", f"/collections/{inner}", query="name = nobody"),
        await keeper.do("POST", f"/collections/{free}/removals", names=["web-1"]),
        await keeper.do("DELETE", f"/windows/{window}"),
    ]

    assert told[0].json["ends"] == f"{year}-12-02 00:00"
    assert [one.status for one in told] == [200, 202, 202, 202, 204, 202, 202, 200, 204]


async def test_whose_rights_end_at_a_collection_sets_its_calendar_and_no_others(
    keeper: Keeper,
) -> None:
    other = (await keeper.do("POST", "/collections", name="Board", names=["web-1"])).json["id"]
    own, theirs = f"/collections/{keeper.collection}", f"/collections/{other}"
    year = f"{keeper.plane.clock.now():%Y}"
    frozen = {"begins": f"{year}-01-01 00:00", "ends": f"{year}-12-31 23:59", "reason": "a secret"}
    freeze = (await keeper.do("POST", f"{own}/freezes", **frozen)).json["id"]
    windows = [
        (await keeper.do("POST", f"{path}/windows", **PATCH_NIGHT)).json["id"]
        for path in (own, theirs, f"/collections/{ALL_MACHINES}")
    ]
    full, rights = keeper.token, ("machines.read", "collections.read", "collections.modify")
    keeper.token = await keeper.plane.token(
        rights=rights_of(f"{right}@{keeper.collection}" for right in rights)
    )

    async def tried(method: str, *paths: str, **document: Any) -> list[int]:
        return [(await keeper.do(method, path, **document)).status for path in paths]

    mine = {**PATCH_NIGHT, "name": "Mine"}
    made = (await keeper.do("POST", f"{own}/windows", **mine)).json["id"]
    assert await tried("POST", f"{theirs}/windows", **PATCH_NIGHT) == [404]
    paths = [f"/windows/{window}" for window in (made, *windows)]
    assert await tried("PUT", *paths, **mine) == [200, 403, 404, 404]
    assert await tried("DELETE", *paths) == [204, 403, 404, 404]
    assert await tried("PUT", "/business-hours", ends="17:00") == [404]
    assert await tried("PUT", "/business-hours", ends="17:00", location="Ulm") == [404]
    assert await tried("PUT", "/business-hours", ends="17:00", collection=keeper.collection) == [
        200
    ]
    assert await tried("PUT", own, description="mine") == [403]
    assert await tried("POST", f"{own}/removals", names=["web-1"]) == [403]
    assert await tried("DELETE", f"/freezes/{freeze}") == [403]
    own_freeze = (await keeper.do("POST", f"{own}/freezes", **frozen)).json["id"]
    assert await tried("DELETE", f"/freezes/{own_freeze}") == [204]
    keeper.token = full
    assert (await keeper.do("DELETE", f"/freezes/{freeze}")).status == 204


async def test_whose_rights_end_at_a_collection_is_told_when_but_not_of_whom(
    keeper: Keeper,
) -> None:
    secret = (await keeper.do("POST", "/collections", name="Board", names=["web-1"])).json["id"]
    await keeper.do("POST", f"/collections/{keeper.collection}/windows", **PATCH_NIGHT)
    hidden = {**PATCH_NIGHT, "name": "Takeover of Acme", "at": "02:00"}
    await keeper.do("POST", f"/collections/{secret}/windows", **hidden)
    now, day = keeper.plane.clock.now(), timedelta(days=1)
    begins, ends = (f"{at:%Y-%m-%d %H:%M}" for at in (now - day, now + day))
    frozen = {"begins": begins, "ends": ends, "reason": "Acme, too"}
    await keeper.do("POST", f"/collections/{secret}/freezes", **frozen)
    asked = [
        f"/machines/{keeper.machine}/permission?ignore_windows=true",
        f"/openings?machine={keeper.machine}&days=400",
        f"/calendar?machine={keeper.machine}",
        f"/machines/{keeper.machine}/windows.ics",
    ]
    whole = [(await keeper.do("GET", path)).body for path in asked]
    keeper.token = await keeper.plane.token(
        rights=rights_of(f"{one}.read@{keeper.collection}" for one in ("machines", "collections"))
    )
    told = [(await keeper.do("GET", path)).body for path in asked]
    keeper.token = await keeper.plane.token(
        rights=rights_of([f"machines.read@machine:{keeper.machine}"])
    )
    owner = await keeper.do("GET", asked[0])

    assert [b"Acme" in one for one in whole] == [True] * 4
    assert [b"Acme" in one for one in told] == [False] * 4
    assert all(one.count(b"BEGIN:VEVENT") == told[3].count(b"BEGIN:VEVENT") for one in whole[3:])
    assert b"Patch night" in told[3] and b"of another collection" in told[3]
    assert not owner.json["may"] and "of another collection" in owner.json["words"]


async def test_whose_rights_end_at_a_collection_takes_no_machine_out_of_a_freeze(
    keeper: Keeper,
) -> None:
    night = (await keeper.do("POST", "/collections", name="Night", names=[])).json["id"]
    about = {"machines": [keeper.machine], "schedule": night}
    await keeper.do("POST", "/machine-descriptions", **about)
    year = f"{keeper.plane.clock.now():%Y}"
    frozen = {"begins": f"{year}-01-01 00:00", "ends": f"{year}-12-31 23:59", "reason": "audit"}
    await keeper.do("POST", f"/collections/{night}/freezes", **frozen)
    full = keeper.token
    keeper.token = await keeper.plane.token(
        rights=rights_of(f"machines.{verb}@{keeper.collection}" for verb in ("read", "modify"))
    )
    thaw = {"machines": [keeper.machine], "forget": ["schedule"]}

    assert (await keeper.do("POST", "/machine-descriptions", **thaw)).status == 403
    keeper.token = full
    assert (await keeper.do("POST", "/machine-descriptions", **thaw)).status == 200


async def test_a_freeze_that_comes_while_a_machine_is_about_to_leave_its_schedule_holds_it(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = (await keeper.do("POST", "/collections", name="Night", names=[])).json["id"]
    about = {"machines": [keeper.machine], "schedule": night}
    await keeper.do("POST", "/machine-descriptions", **about)
    at, day = keeper.plane.clock.now(), timedelta(days=1)
    said = SaidFreeze(begins=f"{at:%F %H:%M}", ends=f"{at + day:%F %H:%M}", reason="audit")
    freeze = Entry(
        id=uuid4(),
        kind=EntryKind.FREEZE,
        collection=UUID(night),
        said=packed(said),
        by="maria",
        at=at,
    )
    decide = keeper.plane.storage.decide

    def beaten(actor: str, operation: str, work: Any, *, now: datetime) -> Any:
        def later(tx: Transaction) -> Any:
            tx.calendar.put(freeze)  # whoever was just before him
            return work(tx)

        return decide(actor, operation, later, now=now)

    keeper.token = await keeper.plane.token(
        rights=rights_of(f"machines.{verb}@{keeper.collection}" for verb in ("read", "modify"))
    )
    monkeypatch.setattr(keeper.plane.storage, "decide", beaten)
    thaw = {"machines": [keeper.machine], "forget": ["schedule"]}

    refused = await keeper.do("POST", "/machine-descriptions", **thaw)

    assert refused.status == 403 and "its schedule is frozen" in refused.json["detail"]


async def test_nobody_uses_up_what_others_freeze_with(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calendar_reach, "MOST", 3)
    monkeypatch.setattr(calendar_reach, "MOST_OF_ONE", 2)
    names = map(str, count())
    own, everywhere = f"/collections/{keeper.collection}", f"/collections/{ALL_MACHINES}"
    year = f"{keeper.plane.clock.now():%Y}"
    frozen = {"begins": f"{year}-01-01 00:00", "ends": f"{year}-12-31 23:59", "reason": "audit"}

    async def made(what: str, *paths: str, **document: Any) -> list[int]:
        found = []
        for path in paths:
            named = {"name": next(names)} if what == "windows" else {}
            made = await keeper.do("POST", f"{path}/{what}", **{**document, **named})
            found.append(made.status)
        return found

    full = keeper.token
    keeper.token = await keeper.plane.token(
        rights=rights_of([f"collections.modify@{keeper.collection}"])
    )
    delegates = await made("windows", own, own, own, **PATCH_NIGHT)
    keeper.token = full
    windows = await made("windows", own, own, everywhere, **PATCH_NIGHT)
    freezes = await made("freezes", own, everywhere, **frozen)

    assert (delegates, windows, freezes) == ([201, 201, 409], [201, 409, 409], [201, 201])
