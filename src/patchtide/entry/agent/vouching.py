"""`patchtide agent explain --verify`: whether a vendor's own signature covers an update."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patchtide.agent.explaining import Kept
from patchtide.agent.vendors import NotVouched, VendorKeys, VendorSignature, Vouched
from patchtide.domain.catalog.updates import Verification
from patchtide.domain.errors import PatchtideError

_WHY_NOT: Mapping[NotVouched, str] = {
    NotVouched.NO_FILES: "it names no file that could be verified",
    NotVouched.OTHER_ROLE: "it is no vendor's; the role that signed it answers for it",
    NotVouched.NO_VERIFIER: "this machine is only described; it has no keys of a vendor's",
    NotVouched.NO_INDEX: "the site keeps no list that its vendor signed; an RPM package carries a"
    " signature in itself, which is verified when it is here",
    NotVouched.NOT_LISTED: "no list that the vendor signed has all its files, by name, version,"
    " SHA-256 and size",
}
NOT_ASKED = "not asked; --verify fetches what it signed and verifies that here"


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of asking."""

    signatures: Vouched = ()
    code: str = ""
    """Why it is not verified; empty: it is."""
    why: str = ""


def asked_of_vendor(state: Path, kept: Kept, keys: VendorKeys | None, *, config: Path) -> Verified:
    from patchtide.entry.agent.compose import vendors_asked

    try:
        with vendors_asked(state, keys, config=config) as vendors:
            found = vendors.verdicts([kept.leaf], kept.shard)[kept.leaf.number]
    except PatchtideError as error:
        return Verified(code=error.code, why=f"{error.code}: {error}")
    if isinstance(found, NotVouched):
        return Verified(code=found.value, why=_WHY_NOT[found])
    return Verified(signatures=found)


def vendor_as_text(kept: Kept, said: Verified | None) -> Iterator[str]:
    """Yield nothing of an update that is no vendor's, unless somebody asked."""
    if said is None:
        if kept.leaf.origin.verification is Verification.VENDOR_SIGNATURE:
            yield f"  vendor    {NOT_ASKED}"
    elif said.code:
        yield f"  vendor    not verified: {said.why}"
    for one in said.signatures if said else ():
        yield f"  vendor    verified: {one.index}, index of {one.dated}"
        yield from (f"            signed with {key}" for key in one.keys)


def vendor_as_json(said: Verified) -> dict[str, Any]:
    return {
        "verified": not said.code,
        "code": said.code,
        "why": said.why,
        "signatures": [_as_json(one) for one in said.signatures],
    }


def _as_json(one: VendorSignature) -> dict[str, Any]:
    return {"index": one.index, "dated": one.dated, "keys": list(one.keys)}
