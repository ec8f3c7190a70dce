"""Migrations go forward, in two halves: `pre` while the old server still serves, `post` after.

A revision's name and branch say its half: `0002_pre_...` only adds and goes on from the last
`pre`; `0003_post_...` removes, goes on from the last `post`, and depends on the `pre` it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection, Engine, inspect, text

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

Half = Literal["pre", "post"]
FOLDER = Path(__file__).parent / "migrations"
# Two nodes that start at once must not both make the tables; any constant will do.
_ONE_AT_A_TIME = 0x70617463
_TABLE = "alembic_version"


def migrate(engine: Engine, *, half: Half = "post", folder: Path = FOLDER) -> None:
    """Bring the database to the newest revision of that half; `post` includes every `pre`."""
    with engine.begin() as connection:
        if _is_current(connection, folder):
            return
    _upgrade(engine, half, folder)


def _is_current(connection: Connection, folder: Path) -> bool:
    """Say whether nothing is to be done, as the revisions' names tell. No: who knows."""
    if not inspect(connection).has_table(_TABLE):
        return False
    names = sorted(file.stem for file in (folder / "versions").glob("[0-9]*.py"))
    heads = {name.split("_")[1]: name for name in names}
    found = connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalars()  # noqa: S608
    return set(found) == set(heads.values())


def _upgrade(engine: Engine, half: Half, folder: Path) -> None:
    # It takes long to load, and at most starts there is nothing to do.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": _ONE_AT_A_TIME})
        config.attributes["connection"] = connection
        for head in _targets(ScriptDirectory.from_config(config), half):
            command.upgrade(config, head)


def _targets(script: ScriptDirectory, half: Half) -> list[str]:
    heads = [script.get_revision(name) for name in script.get_heads()]
    return [h.revision for h in heads if half == "post" or "pre" in h.branch_labels]
