"""One thing done to all that were chosen: asked about first when it hurts, and told one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, see_done
from patchtide.adapters.console.visits import Visit
from patchtide.domain.errors import InvalidDocument, PatchtideError, Problem
from patchtide.server.four_eyes import Proposed

MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something that is done to the rows of a list, and from which states."""

    operation: str
    label: str
    done: str
    asks_first: str = ""
    """What is asked before it is done, because it hurts; empty: it is done at once."""
    origins: frozenset[str] = frozenset()
    right: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What a list is of: as what its operations are asked, where its form goes, and its words."""

    field: str
    form: str
    noun: str
    plural: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    id: str
    name: str


def ids_of(visit: Visit, field: str) -> Sequence[str]:
    """Return what was chosen, each once.

    Raises:
        InvalidDocument: that is more than a list shows.
    """
    chosen = tuple(dict.fromkeys(visit.form.get(field, ())))
    if len(chosen) > MOST:
        raise InvalidDocument([Problem(field, f"are more than {MOST} at once")])
    return chosen


async def carry_out(
    desk: Desk,
    visit: Visit,
    kind: Rows,
    name: str,
    act: Act,
    chosen: Sequence[Chosen],
    *,
    back: str,
    **more: str,
) -> Reply:
    """Do it to each, whatever comes of the others. `more`: what else the operation is asked."""
    if act.asks_first and chosen and visit.said("sure") != "yes":
        return desk.page(
            visit, "sure.html", kind=kind, name=name, act=act, chosen=chosen, back=back, more=more
        )
    failed: list[tuple[Chosen, PatchtideError]] = []
    waiting: list[tuple[Chosen, Proposed]] = []
    for one in chosen:
        try:
            asked: dict[str, Any] = {kind.field: one.id, **more}
            await desk.ask(visit, act.operation, **asked)
        except PatchtideError as error:
            failed.append((one, error))
        except Proposed as outcome:
            waiting.append((one, outcome))
    done = len(chosen) - len(failed) - len(waiting)
    if failed or waiting or not chosen:
        return desk.page(
            visit, "outcome.html", kind=kind, act=act, done=done, failed=failed, waiting=waiting,
            back=back, status=200 if done or waiting else 409,
        )  # fmt: skip
    return see_done(back, f"{name}-{done}")


async def carry_out_named(
    desk: Desk, visit: Visit, kind: Rows, acts: Mapping[str, Act], *, back: str
) -> Reply:
    """Do what the form says to the one that it names."""
    doing, name = visit.said("act"), visit.said(kind.field)
    if doing not in acts:
        raise no_such_act(kind.plural)
    chosen = [Chosen(id=name, name=name)] if name else []
    return await carry_out(desk, visit, kind, doing, acts[doing], chosen, back=back)


def no_such_act(plural: str) -> InvalidDocument:
    return InvalidDocument([Problem("act", f"is nothing that can be done to {plural}")])
