"""Days of collections that were counted at places of updates are there in their own rows."""

from __future__ import annotations

import asyncio
from array import array
from datetime import UTC, date, datetime
from pathlib import Path
from shutil import copytree
from uuid import UUID, uuid4, uuid5

from sqlalchemy import Engine, text

from patchtide.adapters.storage import Storage
from patchtide.adapters.storage.engines import open_writer, parse_url
from patchtide.adapters.storage.migrate import FOLDER, migrate
from patchtide.domain.compliance.history import UpdateCount
from patchtide.server.history_pairs import Pair, pair_count, part_of
from patchtide.server.history_rows import UpdateColumns, pack_blocks
from patchtide.server.history_sets import ALL_UPDATES, of_list, of_search

DAY = date(2026, 3, 2)
MADE = 1772439871.246913


def an_older(tmp_path: Path) -> Path:
    """The migrations before this one."""
    folder = tmp_path / "migrations"
    copytree(FOLDER, folder)
    for file in (folder / "versions").glob("[0-9]*.py"):
        if file.name >= "0026":
            file.unlink()
    return folder


def count(n: int) -> UpdateCount:
    return UpdateCount(required=n, installed=70_000 + n, restart=n % 3, behind=0, unjudged=n)


def fill(engine: Engine, placed: dict[UUID, int], *, here: UUID) -> None:
    columns = UpdateColumns(*(array("I", bytes(4 * 1100)) for _ in range(5)))
    for place in placed.values():
        columns.put(place, count(place))
    with engine.begin() as connection:
        made = (
            "INSERT INTO collection (uuid, name, folded, description, limiting, query, revision,"
            " changed_by, changed_at) VALUES (:id, 'a', 'a', '', :id, '', 1, 'anna', 0)"
        )
        connection.execute(text(made), {"id": here.bytes})
        a_list = "INSERT INTO update_list (name, note, made_by, at) VALUES ('x', '', 'anna', :at)"
        connection.execute(text(a_list), {"at": MADE})
        a_search = "INSERT INTO update_search (name, query, saved_by, at) VALUES ('s', '', 'b', 0)"
        connection.execute(text(a_search))
        for key, place in placed.items():
            row = "INSERT INTO history_place (place, update_id) VALUES (:place, :key)"
            connection.execute(text(row), {"place": place, "key": key.bytes})
        for n, document in enumerate(pack_blocks(columns)):
            row = "INSERT INTO history_block (block, day, document) VALUES (:n, :day, :document)"
            of_day = {"n": n, "day": DAY.toordinal(), "document": document}
            connection.execute(text(row), of_day)


def test_what_was_counted_of_collections_is_kept_and_their_places_are_nobodys(
    database_without_tables: str, tmp_path: Path
) -> None:
    engine = open_writer(parse_url(database_without_tables))
    migrate(engine, folder=an_older(tmp_path))
    here, update = uuid4(), uuid4()
    listed = of_list(datetime.fromtimestamp(MADE, UTC).timestamp())
    sets = {ALL_UPDATES: 3, listed: 1030, of_search("s"): 1031}
    placed = {update: 2, **{uuid5(here, of): place for of, place in sets.items()}}
    fill(engine, placed, here=here)

    migrate(engine)

    engine.dispose()
    storage = Storage.open(database_without_tables)
    [(day, document)] = storage.fleet_history.pairs(part_of(here), first=DAY, last=DAY)
    assert day == DAY
    assert [pair_count(document, Pair(here, of)) for of in sets] == [*map(count, sets.values())]
    assert pair_count(document, Pair(update, ALL_UPDATES)) == UpdateCount()
    assert set(storage.fleet_history.places().values()) == {2, 1031}
    asyncio.run(storage.close())
