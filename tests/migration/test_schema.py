"""Migrated is declared, on both databases; and each half brings only its own."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from patchtide.adapters.storage.engines import open_writer, parse_url
from patchtide.adapters.storage.migrate import FOLDER, migrate
from patchtide.adapters.storage.schema import metadata


@pytest.fixture
def engine(database_without_tables: str) -> Engine:
    return open_writer(parse_url(database_without_tables))


def described(engine: Engine) -> dict[str, object]:
    """All that the database itself says of its tables."""
    look = inspect(engine)
    return {
        name: (
            [{**c, "type": str(c["type"])} for c in look.get_columns(name)],
            look.get_pk_constraint(name)["constrained_columns"],
            sorted((i["name"], i["column_names"]) for i in look.get_indexes(name)),
            sorted(tuple(u["column_names"]) for u in look.get_unique_constraints(name)),
            [(f["constrained_columns"], f["referred_table"]) for f in look.get_foreign_keys(name)],
            look.get_table_options(name),
        )
        for name in look.get_table_names()
        if name != "alembic_version"
    }


def test_an_empty_database_migrated_is_the_declared_schema(engine: Engine) -> None:
    migrate(engine)
    migrated = described(engine)
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
        metadata.drop_all(connection)
        metadata.create_all(connection)

    assert differences == []
    assert migrated == described(engine)
    engine.dispose()


def test_migrating_again_changes_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(engine)
    monkeypatch.delattr("patchtide.adapters.storage.migrate._upgrade")
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO setting (name, value) VALUES ('kept', 'x')"))

    migrate(engine)

    with engine.begin() as connection:
        assert connection.execute(text("SELECT name FROM setting")).scalar() == "kept"
    engine.dispose()


NEXT_PRE = """
from alembic import op
import sqlalchemy as sa
revision = "0002_pre_colour"
down_revision = "0001_pre_first"
branch_labels = None
depends_on = None
def upgrade():
    op.add_column("client", sa.Column("colour", sa.Text(), server_default="", nullable=False))
"""
FIRST_POST = """
from alembic import op
revision = "0003_post_platform"
down_revision = None
branch_labels = ("post",)
depends_on = "0002_pre_colour"
def upgrade():
    op.drop_column("client", "platform")
"""


@pytest.fixture
def next_release(tmp_path: Path) -> Path:
    """The migrations of a release that adds one column and gives up another."""
    folder = tmp_path / "migrations"
    copytree(FOLDER, folder)
    (folder / "versions/0002_pre_colour.py").write_text(NEXT_PRE)
    (folder / "versions/0003_post_platform.py").write_text(FIRST_POST)
    return folder


def columns(engine: Engine) -> set[str]:
    return {column["name"] for column in inspect(engine).get_columns("client")}


def test_the_first_half_adds_and_the_second_removes(engine: Engine, next_release: Path) -> None:
    migrate(engine)
    before = columns(engine)

    migrate(engine, half="pre", folder=next_release)
    half_way = columns(engine)
    migrate(engine, half="post", folder=next_release)

    assert half_way == before | {"colour"}
    assert columns(engine) == half_way - {"platform"}
    engine.dispose()


def test_a_revisions_name_says_its_half() -> None:
    names = [path.name for path in (FOLDER / "versions").glob("[0-9]*.py")]

    assert names
    assert all(name[4:].startswith(("_pre_", "_post_")) for name in names)
