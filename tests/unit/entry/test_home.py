"""The home of `patchtide up`: what is used is never emptied, what is refused stays as it was."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from patchtide.entry.cli.up.errors import HomeNotUsable
from patchtide.entry.cli.up.home import TOKEN, Home

MARK = ".unfinished"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home that a run left unfinished."""
    path = tmp_path / "home"
    with Home(path):
        pass
    return path


def put_database(home: Path, *rows: str) -> None:
    with closing(sqlite3.connect(home / "patchtide.db")) as database:
        for table in ("user_account", "client"):
            database.execute(f"CREATE TABLE {table} (name TEXT)")
        for table in rows:
            database.execute(f"INSERT INTO {table} VALUES ('jo')")
        database.commit()


def test_one_that_was_killed_once_its_token_lay_there_is_finished_for_good(home: Path) -> None:
    put_database(home)
    (home / TOKEN).write_text("ptk_x")
    with Home(home):
        assert not (home / MARK).exists()
    (home / TOKEN).unlink()

    with Home(home) as again:
        assert again.database.exists()


@pytest.mark.parametrize("table", ["user_account", "client"])
def test_a_mark_empties_no_home_that_knows_a_person_or_a_machine(home: Path, table: str) -> None:
    put_database(home, table)

    with Home(home) as again:
        assert again.database.exists() and not again.is_fresh


def test_a_database_that_cannot_be_read_is_not_thrown_away(home: Path) -> None:
    (home / "patchtide.db").write_text("years of work")

    with Home(home) as again:
        assert again.database.read_text() == "years of work"


def test_what_was_killed_before_anybody_used_it_is_begun_anew(home: Path) -> None:
    put_database(home)

    with Home(home) as again:
        assert again.is_fresh and not again.database.exists()


def test_a_folder_of_other_things_is_refused_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    tmp_path.chmod(0o755)

    with pytest.raises(HomeNotUsable, match="holds other things"), Home(tmp_path):
        pass

    assert [path.name for path in tmp_path.iterdir()] == ["keys"]
    assert tmp_path.stat().st_mode & 0o777 == 0o755
