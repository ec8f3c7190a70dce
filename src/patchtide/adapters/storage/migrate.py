"""Migrations go forward, in two halves: `pre` while the old server still serves, `post` after.

A revision's name says its half: `0002_pre_...` adds, `0003_post_...` removes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from patchtide.adapters.storage.tables import metadata

Half = Literal["pre", "post"]
_FOLDER = Path(__file__).parent / "migrations"


def migrate(engine: Engine, *, half: Half = "post") -> None:
    """Bring the database to the newest revision of that half; `post` includes every `pre`."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    script = ScriptDirectory.from_config(config)
    target = newest(script, half)
    environment = EnvironmentContext(
        config,
        script,
        fn=lambda revision, _: script._upgrade_revs(target, revision),
        destination_rev=target,
    )
    with engine.begin() as connection:
        environment.configure(connection=connection, target_metadata=metadata)
        with environment:
            environment.run_migrations()


def newest(script: ScriptDirectory, half: Half) -> str:
    for revision in script.walk_revisions():
        if half == "post" or "_pre_" in revision.revision:
            return revision.revision
    raise LookupError("there are no migrations")
