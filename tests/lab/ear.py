"""`patchtide serve` with an ear at the door: it also writes down what machines tell it.

    python -m tests.lab.ear FILE ARGUMENTS...      (those of `patchtide serve`)

One JSON line a message that was taken: a check-in, a report with how many numbers it carried and in
which form, the kind of an inventory.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from patchtide.adapters.storage import Storage
from patchtide.entry.server.__main__ import main
from patchtide.server.ports.reports import Accepted, IncomingReport
from patchtide.server.standings import Entry, Standings
from patchtide.wire.messages import HealthV1, decode
from patchtide.wire.sets import decode_set


def told(report: IncomingReport) -> dict[str, Any]:
    form = "full" if report.base is None else "difference"
    sets = ("required", "installed", "unknown", "gone")
    return {
        "message": "report",
        "client": report.client,
        "form": form if report.has_states else "no states",
        "boot_id": report.boot_id,
        **{name: len(decode_set(getattr(report, name))) for name in sets},
    }


def listen(file: Path) -> None:
    accept, put, seen = Storage.accept, Storage.put_inventory, Standings.seen

    def note(**said: Any) -> None:
        with file.open("a") as lines:
            lines.write(json.dumps(said) + "\n")

    async def accept_aloud(
        storage: Storage, reports: Sequence[IncomingReport], *, now: float
    ) -> Sequence[Accepted]:
        for report in reports:
            note(**told(report))
        return await accept(storage, reports, now=now)

    async def put_aloud(storage: Storage, client: int, *, kind: str, **more: Any) -> None:
        note(message="inventory", client=client, kind=kind)
        await put(storage, client, kind=kind, **more)

    def seen_aloud(standings: Standings, entry: Entry, *, health: bytes, **more: Any) -> None:
        boot_id = decode(health, HealthV1).boot_id
        note(message="check-in", client=entry.number, boot_id=boot_id)
        seen(standings, entry, health=health, **more)

    for kind, methods in {
        Storage: {"accept": accept_aloud, "put_inventory": put_aloud},
        Standings: {"seen": seen_aloud},
    }.items():
        for name, method in methods.items():
            setattr(kind, name, method)


if __name__ == "__main__":
    listen(Path(sys.argv.pop(1)))
    sys.exit(main())
