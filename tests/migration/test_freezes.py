"""A freeze of a year that no calendar knows is gone: whoever reads one would stop at it."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree

import pytest
from sqlalchemy import text

from patchtide.adapters.storage import Storage
from patchtide.adapters.storage.engines import open_writer, parse_url
from patchtide.adapters.storage.migrate import FOLDER, migrate

YEARS = ("0001", "2000", "2026", "2199", "9999")


@pytest.mark.anyio
async def test_freezes_in_years_that_there_are_stay(
    database_without_tables: str, tmp_path: Path
) -> None:
    folder = tmp_path / "migrations"
    copytree(FOLDER, folder)
    for file in (folder / "versions").glob("[0-9]*.py"):
        if file.name >= "0029":
            file.unlink()
    engine = open_writer(parse_url(database_without_tables))
    migrate(engine, folder=folder)
    with engine.begin() as connection:
        for n, year in enumerate(YEARS):
            said = {"begins": f"{year}-03-01 08:00", "ends": f"{year}-03-02 8:00", "reason": "x"}
            row = (
                "INSERT INTO calendar_entry (uuid, kind, collection, location, said, changed_by,"
                " changed_at) VALUES (:id, 'freeze', :id, '', :said, 'anna', 0)"
            )
            connection.execute(
                text(row), {"id": bytes([n]) * 16, "said": json.dumps(said).encode()}
            )
    migrate(engine)
    engine.dispose()
    storage = Storage.open(database_without_tables)
    kept = [json.loads(one.said)["begins"][:4] for one in storage.calendar.freezes()]
    await storage.close()

    assert kept == ["2000", "2026", "2199"]
