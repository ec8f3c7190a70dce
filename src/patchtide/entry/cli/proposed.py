"""What is said when something was not done, but proposed: it waits for a second person."""

from __future__ import annotations

import msgspec

from patchtide.entry.cli.client import Answer
from patchtide.entry.cli.printing import Printer
from patchtide.server.four_eyes import Waiting
from patchtide.server.table import Operation

PROPOSED = 4


def is_proposed(operation: Operation, answer: Answer) -> bool:
    return operation.four_eyes is not None and answer.status == 202 != operation.status


def tell_proposed(answer: Answer, printer: Printer, *, as_json: bool) -> int:
    """Say for whom it waits, and return the exit code."""
    if as_json:
        printer.show(answer.body, is_done=True, as_json=True)
        return PROPOSED
    told = msgspec.json.decode(answer.body, type=Waiting)
    lines = [told.waits]
    if told.missing:
        lines.append(f"they approve it at {printer.url}/proposals/{told.proposal}")
    lines.append(f"then: patchtide proposals enact {told.proposal}")
    printer.complain("\n".join(lines))
    return PROPOSED
