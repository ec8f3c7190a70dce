"""The texts of credentials: how they are written and read. Their secrets come from elsewhere.

Only the SHA-256 of a secret is ever stored; a secret has 256 bits from the system's generator,
so a plain hash is enough and no slow one is needed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

API_TOKEN_TEXT = re.compile(r"ptk_([0-9a-f]{12})_([0-9a-f]{64})", re.ASCII)
ENROLMENT_TOKEN_TEXT = re.compile(r"pt1\.([0-9a-f]{12})\.([0-9a-f]{64})\.([0-9a-f]{64})", re.ASCII)


def hash_of(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiTokenText:
    """`ptk_<id>_<secret>`: the one form in which a person's or program's key travels."""

    id: str
    secret: str

    def __str__(self) -> str:
        return f"ptk_{self.id}_{self.secret}"

    def __repr__(self) -> str:
        return f"ApiTokenText(id={self.id!r})"  # a secret shows in no traceback and no log

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the token, or None when the text has another form."""
        found = API_TOKEN_TEXT.fullmatch(text)
        return None if found is None else cls(id=found[1], secret=found[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentTokenText:
    """`pt1.<id>.<secret>.<SHA-256 of the site CA>`: lets a machine enrol, and know its site."""

    id: str
    secret: str
    site_ca: str

    def __str__(self) -> str:
        return f"pt1.{self.id}.{self.secret}.{self.site_ca}"

    def __repr__(self) -> str:
        return f"EnrolmentTokenText(id={self.id!r})"

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the token, or None when the text has another form."""
        found = ENROLMENT_TOKEN_TEXT.fullmatch(text)
        return None if found is None else cls(id=found[1], secret=found[2], site_ca=found[3])
