"""Machines by the names that people call them. The interface itself knows only ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from patchtide.domain.errors import PatchtideError
from patchtide.entry.cli.client import Answer
from patchtide.server.operations import OPERATIONS
from patchtide.server.table import Operation

MACHINE = "machine"
_SHOWN = 5
_LOOKED_AT = 500

Ask = Callable[[Operation, Mapping[str, Any]], Answer]


class NotOneMachine(PatchtideError):
    """No machine has this name, or several have."""

    code = "not-one-machine"


def with_ids(said: Mapping[str, Any], ask: Ask) -> Mapping[str, Any] | Answer:
    """Return what was said with the id of the machine that was named, or the server's refusal.

    Raises:
        NotOneMachine
    """
    name = said.get(MACHINE)
    if name is None or _is_id(name):
        return said
    answer = ask(OPERATIONS["machines.list"], {"search": name, "limit": _LOOKED_AT})
    if not answer.is_done:
        return answer
    items = msgspec.json.decode(answer.body)["items"]
    ids = [item["id"] for item in items if item["name"] == name]
    if len(ids) == 1:
        return {**said, MACHINE: ids[0]}
    if ids:
        raise NotOneMachine(f"{name!r} is the name of {len(ids)} machines; say which: {_some(ids)}")
    like = _some([item["name"] for item in items])
    raise NotOneMachine(f"no machine is called {name!r}" + (f"; there is {like}" if like else ""))


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _some(texts: list[str]) -> str:
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
