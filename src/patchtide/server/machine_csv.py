"""Machines and what people say of them as CSV: read with every mistake's place, and written.

A column that is there says it of every line: an empty cell takes back what was said. A column
that is not there leaves it as it is. What only the server knows is written, and not read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from patchtide.domain.catalog.rule_mistakes import did_you_mean
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.machine_attributes import ATTRIBUTES, name_of, texts_of
from patchtide.server.ports.clients import Client
from patchtide.server.spreadsheet_cells import harmless, meant

LINES = 20_000
PROBLEMS = 100
"""So many mistakes are told of one file."""
SHOWN = 40
"""So many letters of a wrong cell are told."""
_TOLD = ("state", "criticality", "platform", "group", "site")
"""Written, and not read."""
COLUMNS = ("id", "name", "state", *ATTRIBUTES, *_TOLD[1:])
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    number: int
    """As an editor counts them; the header is the first."""
    id: UUID | None
    name: str
    said: Mapping[str, Any]
    """Attribute -> what it is from now on."""

    @property
    def called(self) -> str:
        return self.name or str(self.id)


def place(number: int, column: int | None = None, head: str = "") -> str:
    if column is None:
        return f"line {number}"
    return f"line {number}, column {column + 1} ({head})"


def _number(problem: Problem) -> int:
    """Return the line that a mistake stands on."""
    return int(problem.where.split(maxsplit=2)[1].rstrip(","))


def read_lines(text: str, collections: Mapping[str, UUID] | None = None) -> Sequence[Line]:
    """Return the lines of a file, as they are to be understood.

    `collections`: those that a schedule may be called by, by their names in small letters.

    Raises:
        InvalidDocument: with its mistakes, the first of them if they are very many.
    """
    rows = _Rows(text)
    heads = _heads(rows)
    problems: list[Problem] = []
    lines: list[Line] = []
    cells = _Cells(heads, collections or {})
    for number, row in rows:
        if len(row) != len(heads):
            problems.append(
                Problem(place(number), f"has {len(row)} cells, and the header {len(heads)}")
            )
        else:
            lines.append(cells.line(number, row, problems))
        if len(problems) >= PROBLEMS:
            problems.append(Problem(place(number), "and what follows was not looked at"))
            break
        if len(lines) > LINES:
            problems.append(Problem(place(number), f"is one more than the {LINES} that one takes"))
            break
    problems = sorted([*problems, *_twice(lines)], key=_number)
    if not lines and not problems:
        problems.append(Problem("file", "has a header and no lines"))
    if problems:
        raise InvalidDocument(problems)
    return lines


class _Rows:
    """The rows of a file that have anything in them, with the lines they stand on."""

    def __init__(self, text: str) -> None:
        text = text.removeprefix("\ufeff")
        first = text.split("\n", 1)[0]
        delimiter = max(_DELIMITERS, key=first.count)
        self._reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)

    def __iter__(self) -> Iterator[tuple[int, Sequence[str]]]:
        while True:
            # Within quotes a row may have several lines: what is told is where it begins.
            begins = self._reader.line_num + 1
            try:
                row = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise InvalidDocument(
                    [Problem(place(self._reader.line_num), f"is no CSV: {error}")]
                ) from error
            if any(row):
                yield begins, row


def _instead(head: str) -> str:
    return did_you_mean(head, list(COLUMNS)) or f"there are {', '.join(COLUMNS)}"


def _heads(rows: _Rows) -> Sequence[str]:
    number, row = next(iter(rows), (1, ()))
    heads = [meant(cell.strip()).casefold().replace(" ", "_") for cell in row]
    problems = [
        Problem(place(number, at, head), f"is no column; {_instead(head)}")
        for at, head in enumerate(heads)
        if head not in COLUMNS
    ]
    problems += [
        Problem(place(number, at, head), "is there twice")
        for at, head in enumerate(heads)
        if head in heads[:at]
    ]
    if not {"id", "name"} & set(heads):
        problems.append(Problem(place(number), "has neither a column `name` nor a column `id`"))
    if problems:
        raise InvalidDocument(problems)
    return heads


class _Cells:
    """Reads cells; of ten thousand lines most say what another has said."""

    def __init__(self, heads: Sequence[str], collections: Mapping[str, UUID]) -> None:
        self._heads = heads
        own: Mapping[str, Callable[[str], Any]] = {"schedule": partial(_schedule, collections)}
        self._readers = {**_READERS, **own}
        self._known: dict[tuple[str, str], Any] = {}

    def line(self, number: int, row: Sequence[str], problems: list[Problem]) -> Line:
        told: dict[str, Any] = {}
        for at, (head, cell) in enumerate(zip(self._heads, row, strict=True)):
            if head in _TOLD:
                continue
            try:
                told[head] = self._read(head, cell)
            except ValueError as error:
                problems.append(Problem(place(number, at, head), _unlike(cell, str(error))))
        uuid, name = told.pop("id", None), told.pop("name", "")
        if uuid is None and not name:
            problems.append(Problem(place(number), "says of no machine what it says"))
        return Line(number=number, id=uuid, name=name, said=told)

    def _read(self, head: str, cell: str) -> Any:
        key = (head, cell)
        if key not in self._known:
            self._known[key] = self._readers[head](meant(cell.strip()))
        return self._known[key]


def _schedule(collections: Mapping[str, UUID], text: str) -> Any:
    """An id is an id, whatever else is called so."""
    try:
        return ATTRIBUTES["schedule"].read(text)
    except ValueError:
        if (found := collections.get(text.casefold())) is None:
            raise
        return found


def _unlike(cell: str, what: str) -> str:
    """Return what a cell would have to be, beside what it is."""
    shown = repr(cell.strip()[:SHOWN])
    return what if "'" in what or what.startswith("is longer") else f"{what}, not {shown}"


def _id(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise ValueError("is no id of a machine") from error


_READERS: Mapping[str, Callable[[str], Any]] = {
    "id": _id,
    "name": name_of,
    **{name: one.read for name, one in ATTRIBUTES.items()},
}


def _twice(lines: Sequence[Line]) -> Iterator[Problem]:
    """Find lines that are of one machine: of one id, or of one name that an id is missing with."""
    seen: dict[object, int] = {}
    for line in lines:
        name = line.name.casefold()
        asked: tuple[object, ...] = (line.id, (name, "alone")) if line.id else (name,)
        if first := next(filter(None, map(seen.get, asked)), 0):
            yield Problem(
                place(line.number), f"is of the machine that line {first} is of: {line.called}"
            )
        told: tuple[object, ...] = (line.id, name) if line.id else (name, (name, "alone"))
        for key in told:
            seen.setdefault(key, line.number)


def written(clients: Iterable[Client]) -> bytes:
    """Return the file that says of these machines what is said of them now."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows(_cells(client) for client in clients)
    return out.getvalue().encode()


def _cells(client: Client) -> Iterator[str]:
    said = texts_of(client.described)
    total = client.described.criticality
    yield str(UUID(bytes=client.uuid))
    yield harmless(client.name)
    yield client.state.value
    yield from map(harmless, said.values())
    yield "" if total is None else str(total)
    yield from map(harmless, (client.platform, client.group, client.site))
