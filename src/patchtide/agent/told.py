"""What the server knows already: it need not be told again of lists and metadata."""

from __future__ import annotations

from collections.abc import Mapping

from patchtide.agent.ports.link import News, NoNews


def beginnings(seen: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return as much of each as it takes to know it again."""
    return {role: digest[:8] for role, digest in seen.items()}


def untold(seen: Mapping[str, bytes], told: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return what is new; the server needs to hear of each once."""
    return {name: digest for name, digest in seen.items() if digest[:8] != told.get(name)}


def not_asked_for(answer: News | NoNews, lists: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the lists that the server knows of; one that has lost track is told of all again."""
    if isinstance(answer, NoNews):
        return dict(lists)
    if answer.answer.full_report:
        return {}
    return {kind: lists[kind] for kind in lists.keys() - answer.answer.inventory}
