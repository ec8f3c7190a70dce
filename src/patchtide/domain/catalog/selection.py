"""Which of a feed's updates a site takes: by product, classification, severity and language."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from patchtide.domain.catalog.details import Classification, FeedUpdate, Severity, UpdateDetails

ANY_FEED = ""
"""The choice for every feed that has none of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is taken of a feed. A part that names nothing narrows nothing.

    An update whose feed does not say how severe it is, or for which languages, is taken whatever
    is chosen there: silence is no reason to be without a fix.
    """

    products: frozenset[str] = frozenset()
    classifications: frozenset[Classification] = frozenset()
    severities: frozenset[Severity] = frozenset()
    languages: frozenset[str] = frozenset()

    def takes(self, details: UpdateDetails) -> bool:
        return (
            (not self.products or not self.products.isdisjoint(details.products))
            and (not self.classifications or details.classification in self.classifications)
            and (not self.severities or details.severity in {*self.severities, Severity.NONE})
            and self._speaks(details.languages)
        )

    def _speaks(self, languages: Iterable[str]) -> bool:
        """`pt` takes `pt-BR` too, not the other way round."""
        offered = [language.casefold() for language in languages]
        if not self.languages or not offered:
            return True
        chosen = tuple(language.casefold() for language in self.languages)
        return any(
            language == one or language.startswith(f"{one}-")
            for language in offered
            for one in chosen
        )

    def may_take(self, product: str, classifications: Collection[Classification]) -> bool:
        """Say whether anything for that product, and of those kinds, may be taken."""
        return (not self.products or product in self.products) and (
            not self.classifications or not self.classifications.isdisjoint(classifications)
        )


EVERYTHING = Choice()
Selection = Mapping[str, Choice]
"""Feed -> what is taken of it."""


def chosen(updates: Iterable[FeedUpdate], selection: Selection) -> tuple[FeedUpdate, ...]:
    """Return those that the site takes, each judged by its own feed's choice."""
    fallback = selection.get(ANY_FEED, EVERYTHING)
    return tuple(
        update
        for update in updates
        if selection.get(update.details.feed, fallback).takes(update.details)
    )


def may_bring(
    selection: Selection, *, feed: str, product: str, classifications: Collection[Classification]
) -> bool:
    """Say whether what a feed has for a product is worth fetching."""
    choice = selection.get(feed, selection.get(ANY_FEED, EVERYTHING))
    return choice.may_take(product, classifications)
