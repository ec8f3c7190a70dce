"""Style, script and pictures: read once at start, addressed by what they hold."""

from __future__ import annotations

from hashlib import sha256
from importlib import resources

from patchtide.adapters.console.replies import Reply
from patchtide.domain.errors import NotFound

KINDS = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FOREVER = (("cache-control", "public, max-age=31536000, immutable"),)


class StaticFiles:
    def __init__(self) -> None:
        self._replies: dict[str, Reply] = {}
        self._addresses: dict[str, str] = {}
        for file in (resources.files("patchtide.adapters.console") / "static").iterdir():
            stem, _, ending = file.name.rpartition(".")
            if ending in KINDS:
                body = file.read_bytes()
                hashed = f"{stem}-{sha256(body).hexdigest()[:16]}.{ending}"
                self._replies[hashed] = Reply(body=body, kind=KINDS[ending], headers=_FOREVER)
                self._addresses[file.name] = f"/static/{hashed}"

    def address(self, name: str) -> str:
        """Return where the file is; a new content has a new address."""
        return self._addresses[name]

    def reply(self, name: str) -> Reply:
        """Raises NotFound."""
        found = self._replies.get(name)
        if found is None:
            raise NotFound
        return found
