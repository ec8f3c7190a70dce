"""XML as a stream of elements, for documents that strangers wrote (S26).

No document type, so no entities either, neither internal nor external; limits on depth, number,
text and on what is held of one unfinished tag. Nothing is ever built of the whole document.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol
from xml.parsers import expat

from patchtide.adapters.feeds.errors import FeedDamaged

MAX_DEPTH = 32
MAX_ELEMENTS = 20_000_000
"""Ten times what the largest repository of a distribution has; read in under a minute."""
MAX_TEXT = 1 << 20
"""Of one element, and of one tag with all its attributes."""


class Elements(Protocol):
    """Who is told of the elements. Names are as they are written, with their prefix."""

    def opened(self, tag: str, attributes: dict[str, str]) -> bool:
        """Say whether the element's text is wanted; it is told when the element ends."""
        ...

    def closed(self, tag: str, text: str) -> None: ...


def read_xml(
    pieces: Iterable[bytes], elements: Elements, *, name: str, most: int = MAX_ELEMENTS
) -> None:
    """Read the document to its end.

    Raises:
        FeedDamaged: it is not well formed, has a document type, or is beyond a limit.
    """
    reading = _Reading(elements, name=name, most=most)
    for piece in pieces:
        reading.feed(piece)
    reading.feed(b"", is_last=True)


class _Reading:
    def __init__(self, elements: Elements, *, name: str, most: int) -> None:
        self._elements = elements
        self._name = name
        self._left = most
        self._depth = 0
        self._text: list[str] = []
        self._length = 0
        self._fed = 0
        # All such documents are in UTF-8, whatever they declare.
        self._parser = expat.ParserCreate("UTF-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._opened
        self._parser.EndElementHandler = self._closed
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.EntityDeclHandler = self._refuse_doctype
        self._parser.ExternalEntityRefHandler = self._refuse_doctype

    def feed(self, piece: bytes, *, is_last: bool = False) -> None:
        try:
            self._parser.Parse(piece, is_last)
        except (expat.ExpatError, UnicodeDecodeError) as error:
            raise FeedDamaged(f"{self._name} is no XML: {error}") from error
        self._fed += len(piece)
        # A tag without an end is kept by the parser, and read again with every piece.
        if not is_last and self._fed - self._parser.CurrentByteIndex > MAX_TEXT:
            raise FeedDamaged(f"{self._name} has a tag without an end")

    def _opened(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._left -= 1
        if self._depth > MAX_DEPTH:
            raise FeedDamaged(f"{self._name} is nested more than {MAX_DEPTH} deep")
        if self._left < 0:
            raise FeedDamaged(f"{self._name} has too many elements")
        wanted = self._elements.opened(tag, attributes)
        self._parser.CharacterDataHandler = self._heard if wanted else None
        if self._text:
            self._text, self._length = [], 0

    def _heard(self, text: str) -> None:
        self._length += len(text)
        if self._length > MAX_TEXT:
            raise FeedDamaged(f"{self._name} has a text of more than {MAX_TEXT} characters")
        self._text.append(text)

    def _closed(self, tag: str) -> None:
        self._depth -= 1
        text = "".join(self._text) if self._text else ""
        if text:
            self._text, self._length = [], 0
        self._parser.CharacterDataHandler = None
        self._elements.closed(tag, text)

    def _refuse_doctype(self, *_: object) -> int:
        raise FeedDamaged(f"{self._name} declares a document type, which no such file needs")
