"""Facts of a whole fleet by their values: who has which, so that a query looks at values alone.

Most facts have few values that many machines share, and some, as names and addresses, have almost
as many as there are machines. So a value that many have has a set of them; the others are in one
table, and texts of it are found by looking through all of them at once.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pyroaring import BitMap

from patchtide.domain.catalog.query_tests import Fits, Value, folded, place_of_address

MANY = 8
"""So many machines and more have a set of their own."""
TEXTS = 256
"""Of more rare values than that, texts are looked for in all of them at once."""
FRESH = 512
"""New values that are looked through one by one, before the text of all is made anew."""
Facts = Mapping[str, tuple[Value, ...]]
"""What is known of one machine: by place, its values, each once."""


class Column(Mapping[Value, BitMap]):
    """Who has which value of one fact. The sets are not to be changed."""

    __slots__ = ("_addresses", "_few", "_many", "_texts")

    def __init__(self) -> None:
        self._many: dict[Value, BitMap] = {}
        self._few: dict[Value, tuple[int, ...]] = {}
        self._texts: _Texts | None = None
        self._addresses: _Addresses | None = None

    def __len__(self) -> int:
        return len(self._many) + len(self._few)

    def __iter__(self) -> Iterator[Value]:
        yield from self._many
        yield from self._few

    def __getitem__(self, value: Value) -> BitMap:
        many = self._many.get(value)
        return BitMap(self._few[value]) if many is None else many

    def where(self, fits: Fits) -> BitMap:
        """Return who has a value that fits."""
        found = BitMap()
        for value, machines in self._many.items():
            if fits(value):
                found |= machines
        rare: list[int] = []
        for value in self._candidates(fits):
            if fits(value):
                rare.extend(self._few.get(value, ()))
        found.update(rare)
        return found

    def put(self, value: Value, machines: Sequence[int]) -> None:
        """Put machines that do not have the value yet."""
        many = self._many.get(value)
        if many is not None:
            many.update(machines)
            return
        few = self._few.get(value, ())
        if len(few) + len(machines) >= MANY:
            self._many[value] = BitMap((*few, *machines))
            self._few.pop(value, None)
            return
        if not few:
            self._freshen(value)
        self._few[value] = (*few, *machines)

    def discard(self, value: Value, machine: int) -> None:
        many = self._many.get(value)
        if many is None:
            kept = tuple(n for n in self._few.get(value, ()) if n != machine)
            self._put_few(value, kept)
            return
        many.discard(machine)
        # Only at half of it: one machine that comes and goes must not make it anew each time.
        if len(many) < MANY // 2:
            del self._many[value]
            self._freshen(value)
            self._put_few(value, tuple(many))

    def forget(self, machine: int) -> None:
        """Take the machine out of whatever value it has."""
        for value in [v for v, machines in self._many.items() if machine in machines]:
            self.discard(value, machine)
        for value in [v for v, machines in self._few.items() if machine in machines]:
            self.discard(value, machine)

    def _freshen(self, value: Value) -> None:
        if self._texts is not None:
            self._texts = self._texts.with_fresh(value)
        if self._addresses is not None:
            self._addresses = self._addresses.with_fresh(value)

    def _put_few(self, value: Value, machines: tuple[int, ...]) -> None:
        if machines:
            self._few[value] = machines
        else:
            self._few.pop(value, None)

    def _candidates(self, fits: Fits) -> Iterable[Value]:
        if len(self._few) <= TEXTS or not (fits.part or fits.wanted or fits.spans):
            return self._few
        if fits.spans:
            if self._addresses is None:
                self._addresses = _Addresses(self._few)
            return self._addresses.candidates(fits)
        if self._texts is None:
            self._texts = _Texts(self._few)
        return self._texts.candidates(fits)


class _Texts:
    """Rare values as one text, in which a part of one is found without asking each of them."""

    __slots__ = ("_fresh", "_starts", "_text", "_values")

    def __init__(self, values: Iterable[Value]) -> None:
        self._values = list(values)
        texts = [folded(value) for value in self._values]
        self._text = "\n" + "\n".join(texts) + "\n"
        self._starts = array("I")
        at = 1
        for text in texts:
            self._starts.append(at)
            at += len(text) + 1
        self._fresh: list[Value] = []

    def with_fresh(self, value: Value) -> _Texts | None:
        """Return them with one more; None: they are to be made anew."""
        self._fresh.append(value)
        return self if len(self._fresh) <= FRESH else None

    def candidates(self, fits: Fits) -> Iterator[Value]:
        """Yield what may fit, each once: some of it may be gone."""
        parts = [fits.part] if fits.part else [f"\n{text}\n" for text in fits.wanted or ()]
        found = {n for part in parts for n in self._places(part)}
        yield from {self._values[n] for n in found}.union(self._fresh)

    def _places(self, part: str) -> Iterator[int]:
        at = self._text.find(part)
        while at >= 0:
            # A whole text begins one behind the line's end that is looked for with it.
            n = bisect_right(self._starts, at + (part[0] == "\n")) - 1
            yield max(n, 0)
            at = self._text.find(part, at + 1)


class _Addresses:
    """Rare addresses in their order, in which a network is all that lies between two places."""

    __slots__ = ("_fresh", "_places", "_values")

    def __init__(self, values: Iterable[Value]) -> None:
        placed = [(at, value) for value in values if (at := place_of_address(value)) is not None]
        placed.sort(key=lambda one: one[0])
        self._places = [at for at, _ in placed]
        self._values = [value for _, value in placed]
        self._fresh: list[Value] = []

    def with_fresh(self, value: Value) -> _Addresses | None:
        """Return them with one more; None: they are to be made anew."""
        self._fresh.append(value)
        return self if len(self._fresh) <= FRESH else None

    def candidates(self, fits: Fits) -> Iterable[Value]:
        """Return what may fit, each once: some of it may be gone."""
        found = set(self._fresh)
        for low, high in fits.spans:
            begin, end = bisect_left(self._places, low), bisect_right(self._places, high)
            found.update(self._values[begin:end])
        return found


class FactTable:
    """The columns of all facts, by their places."""

    def __init__(self) -> None:
        self._columns: dict[str, Column] = {}

    def __contains__(self, place: str) -> bool:
        return place in self._columns

    def column(self, place: str) -> Column:
        """Return who has which value there; of a fact that nobody told, an empty one."""
        return self._columns.get(place) or Column()

    def places(self) -> Iterable[str]:
        return self._columns

    def where(self, place: str, fits: Fits) -> BitMap:
        return self.column(place).where(fits)

    def put(self, machines: Sequence[int], facts: Facts) -> None:
        """Put the facts of machines of which none of these places was known."""
        for place, values in facts.items():
            column = self._columns.get(place)
            if column is None:
                column = self._columns[place] = Column()
            for value in values:
                column.put(value, machines)

    def move(self, machine: int, was: Facts, now: Facts) -> set[str]:
        """Put other facts in the place of those of before; return the places that changed."""
        changed = set[str]()
        for place in was.keys() | now.keys():
            before, after = was.get(place, ()), now.get(place, ())
            if before == after:
                continue
            gone, come = set(before) - set(after), set(after) - set(before)
            if not (gone or come):
                continue
            changed.add(place)
            column = self._columns.setdefault(place, Column()) if come else self._columns[place]
            for value in gone:
                column.discard(value, machine)
            for value in come:
                column.put(value, (machine,))
            if gone:
                self._drop_empty(place)
        return changed

    def forget(self, machine: int, places: Iterable[str]) -> None:
        """Take the machine out of these places, whatever it has there."""
        for place in list(places):
            if place in self._columns:
                self._columns[place].forget(machine)
                self._drop_empty(place)

    def _drop_empty(self, place: str) -> None:
        if place in self._columns and not len(self._columns[place]):
            del self._columns[place]
