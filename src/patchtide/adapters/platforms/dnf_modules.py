"""Which streams of package modules dnf follows here, by the files it keeps of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

FOLDER = Path("etc/dnf/modules.d")
_ENDING = ".module"
_FILE_BYTES = 64 << 10


def followed(root: Path) -> Mapping[str, str] | None:
    """Return module -> stream; where nothing was ever chosen none is followed. None: not told."""
    inside, folder = root.resolve(), (root / FOLDER).resolve()
    if not folder.is_relative_to(inside):
        return None
    try:
        paths = sorted(p.resolve() for p in folder.iterdir() if p.name.endswith(_ENDING))
        if any(not path.is_relative_to(inside) for path in paths):
            return None
        return dict(pair for path in paths for pair in _enabled(_text(path)))
    except FileNotFoundError:
        return {}
    except (OSError, RuntimeError):
        return None


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_FILE_BYTES).decode("utf-8", "replace")


def _enabled(text: str) -> Iterator[tuple[str, str]]:
    """Yield the modules whose state is enabled. A disabled one is there with no stream."""
    for name, said in _sections(text):
        if said.get("state", "").lower() == "enabled" and said.get("stream"):
            yield name, said["stream"]


def _sections(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    name, said = "", dict[str, str]()
    for line in map(str.strip, text.split("\n")):
        if line.startswith("[") and line.endswith("]"):
            yield name, said
            name, said = line[1:-1].strip(), {}
        elif not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            said[key.strip()] = value.strip()
    yield name, said
