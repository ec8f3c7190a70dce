"""Machines and updates by what people call them. The interface itself knows only ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from patchtide.domain.access.rights import LIST
from patchtide.domain.access.rights import MACHINE as ONE_MACHINE
from patchtide.domain.errors import PatchtideError
from patchtide.entry.cli.client import Answer
from patchtide.server.operations import OPERATIONS
from patchtide.server.table import Operation

MACHINE, MACHINES, UPDATE = "machine", "machines", "update"
COLLECTION, LIMITING, OTHERS = "collection", "limiting", ("include", "exclude")
WITHIN = "within"
_SHOWN = 5
_LOOKED_AT = 500

Ask = Callable[[Operation, Mapping[str, Any]], Answer]


class NotOneMachine(PatchtideError):
    """No machine has this name, or several have."""

    code = "not-one-machine"


class NotOneCollection(PatchtideError):
    """No collection has this name."""

    code = "not-one-collection"


class NotOneUpdate(PatchtideError):
    """No update is called this, or several are."""

    code = "not-one-update"


def with_ids(
    said: Mapping[str, Any], ask: Ask, *, by_title: bool = False
) -> Mapping[str, Any] | Answer:
    """Return what was said with the ids of what was named, or the server's refusal.

    `by_title`: an update may be named, too.

    Raises:
        NotOneMachine, NotOneCollection, NotOneUpdate
    """
    # Machines as one text are a query, not names.
    is_some = not isinstance(said.get(MACHINES, ""), str)
    meant = _with_machines(said, ask) if is_some else _with_machine(said, ask)
    if not isinstance(meant, Answer):
        meant = _with_collections(meant, ask)
    if not isinstance(meant, Answer):
        meant = _with_place(meant, ask)
    return meant if isinstance(meant, Answer) or not by_title else _with_update(meant, ask)


def _with_machines(said: Mapping[str, Any], ask: Ask) -> Mapping[str, Any] | Answer:
    ids: list[str] = []
    for name in said[MACHINES]:
        meant = _with_machine({MACHINE: name}, ask)
        if isinstance(meant, Answer):
            return meant
        ids.append(meant[MACHINE])
    return {**said, MACHINES: ids}


def _with_machine(said: Mapping[str, Any], ask: Ask) -> Mapping[str, Any] | Answer:
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


def _with_collections(said: Mapping[str, Any], ask: Ask) -> Mapping[str, Any] | Answer:
    meant = dict(said)
    for place in (COLLECTION, LIMITING, *OTHERS):
        names = said.get(place) or ()
        found: list[str] = []
        for name in (names,) if isinstance(names, str) else names:
            id = name if _is_id(name) else _collection(name, ask)
            if isinstance(id, Answer):
                return id
            found.append(id)
        if found:
            meant[place] = found[0] if isinstance(names, str) else found
    return meant


def _with_place(said: Mapping[str, Any], ask: Ask) -> Mapping[str, Any] | Answer:
    place = said.get(WITHIN) or ""
    if place.startswith(ONE_MACHINE):
        meant = _with_machine({MACHINE: place.removeprefix(ONE_MACHINE)}, ask)
        return (
            meant if isinstance(meant, Answer) else {**said, WITHIN: ONE_MACHINE + meant[MACHINE]}
        )
    if not place or place.startswith(LIST) or _is_id(place):
        return said
    id = _collection(place, ask)
    return id if isinstance(id, Answer) else {**said, WITHIN: id}


def _collection(name: str, ask: Ask) -> str | Answer:
    answer = ask(OPERATIONS["collections.list"], {"search": name, "limit": _LOOKED_AT})
    if not answer.is_done:
        return answer
    items = msgspec.json.decode(answer.body)["items"]
    for item in items:
        # No two are called the same but for capitals.
        if item["name"].casefold() == name.casefold():
            return str(item["id"])
    like = _some([item["name"] for item in items])
    there = f"; there is {like}" if like else ""
    raise NotOneCollection(f"no collection is called {name!r}{there}")


def _with_update(said: Mapping[str, Any], ask: Ask) -> Mapping[str, Any] | Answer:
    name = said.get(UPDATE)
    if name is None or _is_id(name):
        return said
    answer = ask(OPERATIONS["updates.list"], {"search": name, "limit": _LOOKED_AT})
    if not answer.is_done:
        return answer
    items = msgspec.json.decode(answer.body)["items"]
    exact = [item for item in items if item["title"] == name]
    fitting = exact or items
    if len(fitting) == 1:
        return {**said, UPDATE: fitting[0]["id"]}
    if not fitting:
        raise NotOneUpdate(f"no update's title, vendor's id or CVE holds {name!r}")
    titles = _some([f"{item['title']} ({item['id']})" for item in fitting])
    raise NotOneUpdate(f"{len(fitting)} updates are meant by {name!r}; say which: {titles}")


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _some(texts: list[str]) -> str:
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
