"""What a Linux system answers to the facts that rules ask for: files, services, query results.

Each is an answer, or is left out: then nobody knows. Windows' facts are always left out.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from patchtide.adapters.platforms.linux import System
from patchtide.adapters.platforms.linux_services import Services
from patchtide.adapters.platforms.rooted import NotTold, Root
from patchtide.domain.applicability.facts import NO, YES, Answer, Asked

HASHED_FILE_BYTES = 256 << 20
HASHED_BYTES = 1 << 30
"""At most so much is read for all hashes together."""
RESULTS = "etc/patchtide/facts.d"
_RESULT_BYTES = 4096
_RESULT_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", re.ASCII)


def answers(asked: Iterable[Asked], *, root: Path, system: System) -> Mapping[Asked, Answer]:
    """Return the answers to what was asked for, as far as there are any."""
    looking = _Looking(Root(root), system)
    return dict(looking.answered(sorted(asked)))


class _Looking:
    def __init__(self, root: Root, system: System) -> None:
        self._root = root
        self._services = Services(root, system)
        self._may_hash = HASHED_BYTES

    def answered(self, asked: Iterable[Asked]) -> Iterator[tuple[Asked, Answer]]:
        for question in asked:
            subject, _, attribute = question.fact.partition(".")
            try:
                said = self._answer(subject, attribute, question.keys)
            except NotTold:
                continue
            if said is not None:
                yield question, said

    def _answer(self, subject: str, attribute: str, keys: tuple[str, ...]) -> Answer | None:
        """Raises NotTold."""
        match subject, keys:
            case "file", (path,) if path.startswith("/"):
                return self._file(attribute, path)
            case "service", (name,):
                return self._service(attribute, name)
            case "query", (name,):
                return self._result(attribute, name)
            case _:
                return None

    def _file(self, attribute: str, path: str) -> Answer | None:
        if attribute == "sha256":
            return self._hash(path)
        found = self._root.status(path)
        if found is None:
            return NO if attribute in ("exists", "size", "modified") else None
        match attribute:
            case "exists":
                return YES
            case "size":
                return (str(found.st_size),) if stat.S_ISREG(found.st_mode) else NO
            case "modified":
                return (_instant(found.st_mtime_ns),)
            case _:
                return None

    def _hash(self, path: str) -> Answer:
        found = self._root.digest(path, at_most=min(HASHED_FILE_BYTES, self._may_hash))
        if found is None:
            return NO
        digest, size = found
        self._may_hash -= size
        return (digest,)

    def _service(self, attribute: str, name: str) -> Answer | None:
        look: Mapping[str, Callable[[str], bool]] = {
            "installed": self._services.is_installed,
            "enabled": self._services.is_enabled,
            "running": self._services.is_running,
        }
        if attribute not in look:
            return None
        return YES if look[attribute](name) else NO

    def _result(self, attribute: str, name: str) -> Answer:
        """Raises NotTold: this machine keeps no results, or this one is no text."""
        if self._root.status(RESULTS) is None:
            raise NotTold
        if not _RESULT_NAME.fullmatch(name):
            return NO
        said = self._root.content(f"{RESULTS}/{name}", at_most=_RESULT_BYTES)
        if said is None:
            return NO
        if attribute == "exists":
            return YES
        try:
            line = said.decode("utf-8").partition("\n")[0].strip()
        except UnicodeDecodeError as error:
            raise NotTold from error
        return (line,) if line else NO


def _instant(ns: int) -> str:
    """Raises NotTold: the file claims a time that no calendar has."""
    try:
        when = datetime.fromtimestamp(ns // 1_000_000_000, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise NotTold from error
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"
