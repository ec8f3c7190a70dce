"""Waiting for what goes on at a server, with a line that says how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from rich.text import Text

from patchtide.entry.cli.client import Answer
from patchtide.entry.cli.printing import Printer, tame

LOOK_S = 1.0
CONFLICT = 409
PROGRESS = ("step", "done", "of")
_Item = Mapping[str, Any]


def followed(
    begun: Answer,
    look: Callable[[], Answer],
    printer: Printer,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """Return what became of it: its item in the list, or the answer that there was instead.

    One that did not end well is refused, so that a script notices.
    """
    number = _decoded(begun)["number"]
    # Only the line goes there: the output has what came of it, and nothing else.
    with printer.err.status(Text("starting")) as line:
        while True:
            answer = look()
            if not answer.is_done:
                return answer
            item = next((x for x in _decoded(answer)["items"] if x["number"] == number), None)
            if item is None or item["state"] != "running":
                return _ended(begun if item is None else item)
            line.update(Text(tame(in_words(item))))
            sleep(LOOK_S)


def completed(answer: Answer, ask: Callable[[], Answer], printer: Printer) -> Answer:
    """Ask again until the answer is complete, or goes on no more; each waits for a while itself."""
    with printer.err.status(Text("asking")) as line:
        while answer.is_done:
            said = _decoded(answer)
            if said.get("is_complete", True) or said["stopped"]:
                break
            line.update(Text(f"{said['evaluated']} of {said['of']} machines"))
            answer = ask()
    return answer


def in_words(item: _Item) -> str:
    """Return how far a running one is."""
    words = item["step"] or "running"
    return f"{words}, {item['done']} of {item['of']}" if item["of"] else str(words)


def telling(answer: Answer) -> Answer:
    """Return what became of it without how far it was, and without what tells nothing."""
    item = _decoded(answer)
    told = {k: v for k, v in item.items() if k not in PROGRESS and v not in (None, "", [], {})}
    return Answer(status=answer.status, body=msgspec.json.encode(told))


def _ended(item: Answer | _Item) -> Answer:
    if isinstance(item, Answer):
        return item
    is_well = item["state"] == "done"
    body = item if is_well else {"code": item["state"], **item, "detail": item["error"]}
    return Answer(status=200 if is_well else CONFLICT, body=msgspec.json.encode(body))


def _decoded(answer: Answer) -> dict[str, Any]:
    return msgspec.json.decode(answer.body, type=dict[str, Any])
