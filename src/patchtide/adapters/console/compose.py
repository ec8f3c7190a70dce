"""The console, ready to be mounted beside the interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jinja2 import BytecodeCache

from patchtide.adapters.console.console import Console, Desk
from patchtide.adapters.console.fleet_rows import FleetRows, NarrowedRows
from patchtide.adapters.console.pages import PAGES
from patchtide.adapters.console.pulse import Pulse
from patchtide.adapters.console.rendering import Templates
from patchtide.adapters.console.static_files import StaticFiles
from patchtide.adapters.console.waiting import Waiting
from patchtide.domain.catalog.rule_mistakes import Mistake
from patchtide.domain.errors import PatchtideError
from patchtide.server.context import Context
from patchtide.server.table import Table


def build_console(
    context: Context,
    table: Table,
    *,
    status_of: Callable[[PatchtideError], int],
    mistakes_in: Callable[[str], Sequence[Mistake]],
    compiled: BytecodeCache | None = None,
) -> Console:
    static = StaticFiles()
    rows = FleetRows(context.fleet)

    def look() -> tuple[str, int]:
        newest = context.fleet.store.newest_audit(limit=1)
        last = context.synchronisations.last()
        far = f"{last.step}.{last.done}" if last and last.run.state == "running" else ""
        return f"{rows.tell()}.{newest[0].sequence if newest else 0}.{far}", rows.size()

    desk = Desk(
        context=context,
        table=table,
        templates=Templates(static, context.clock, site=context.site_name, compiled=compiled),
        static=static,
        rows=rows,
        narrowed_rows=NarrowedRows(),
        pulse=Pulse(lambda: context.fleet.run(look), context.clock),
        waiting=Waiting(),
        status_of=status_of,
        mistakes_in=mistakes_in,
        narrowing=frozenset(one.policy for one in table if one.narrows and one.plane.is_interface),
    )
    return Console(PAGES, desk)
