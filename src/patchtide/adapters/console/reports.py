"""Named reports: which there are, and one of them, whose address says all that it is asked for."""

from __future__ import annotations

from patchtide.adapters.console.choices import collected
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.listing import PAGE, Asked
from patchtide.adapters.console.replies import Reply
from patchtide.adapters.console.visits import Visit
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.compliance.machine_query import GROUPINGS
from patchtide.domain.errors import InvalidDocument, NotFound
from patchtide.server.named_reports import NAMED
from patchtide.server.report_scope import AskReport

_CHARTED = {name: name for name in ("update", "list", "search", "collection", "risk", "state")} | {
    "days_back": "days"
}
_FIELDS = frozenset(AskReport.__struct_fields__) - {"name", "limit", "page"}


async def index(desk: Desk, visit: Visit) -> Reply:
    found = await desk.ask(visit, "reports.list")
    return desk.page(visit, "reports.html", reports=found.items)


async def page(desk: Desk, visit: Visit) -> Reply:
    name = visit.parameters["report"]
    named = NAMED.get(name)
    if named is None:
        raise NotFound
    said = {key: value for key, value in visit.query.items() if key in _FIELDS and value}
    if form := visit.query.get("format"):
        file = await desk.ask(visit, "reports.download", name=name, format=form, **said)
        return Reply(file=file)
    asked = Asked(path=visit.path, values={**said, **_page_of(visit)}, default_sort=named.sort)
    lists = await desk.ask(visit, "lists.list")
    known = await collected(desk, visit)
    shown = error = None
    if name != "machine" or "machine" in said:
        try:
            shown = await desk.ask(
                visit, "reports.show", name=name, page=asked.page, limit=PAGE, **said
            )
        except (InvalidQuery, InvalidDocument) as mistaken:
            error = mistaken
    return desk.page(
        visit,
        "report.html",
        name=name,
        named=named,
        asked=asked,
        found=shown,
        error=error,
        pages=-(-shown.total // PAGE) if shown else 0,
        lists=[one.name for one in lists.items],
        collections=known,
        groupings=(*GROUPINGS, "machine") if name == "matrix" else GROUPINGS,
        chart={its: said[key] for key, its in _CHARTED.items() if key in said},
        subscribing={"report": name, **said},
    )


def _page_of(visit: Visit) -> dict[str, str]:
    return {"page": visit.query["page"]} if "page" in visit.query else {}
