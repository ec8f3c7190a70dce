"""How long the metadata at hand is good for. Only looked at: nothing is believed for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path


def ends_of(folder: Path) -> Mapping[str, datetime]:
    """Return the end of each role whose metadata is in the folder and can be read."""
    found: dict[str, datetime] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            said = json.loads(path.read_bytes())["signed"]["expires"]
            found[path.stem] = datetime.fromisoformat(said)
        except (ValueError, KeyError, TypeError):
            continue
    return found
