"""The console, ready to be mounted beside the interface."""

from __future__ import annotations

from collections.abc import Callable

from patchtide.adapters.console.console import Console, Desk
from patchtide.adapters.console.fleet_rows import FleetRows
from patchtide.adapters.console.pages import PAGES
from patchtide.adapters.console.rendering import Templates
from patchtide.adapters.console.static_files import StaticFiles
from patchtide.domain.errors import PatchtideError
from patchtide.server.context import Context
from patchtide.server.table import Table


def build_console(
    context: Context, table: Table, *, status_of: Callable[[PatchtideError], int]
) -> Console:
    static = StaticFiles()
    desk = Desk(
        context=context,
        table=table,
        templates=Templates(static, context.clock, site=context.site_name),
        static=static,
        rows=FleetRows(context.fleet),
        status_of=status_of,
    )
    return Console(PAGES, desk)
