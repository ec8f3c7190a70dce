"""Every decoder of what strangers wrote, against documents that are nearly right.

`PATCHTIDE_TORTURE_ROUNDS` rounds of half a second each. What fails is printed with seed and bytes.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from securesystemslib.signer import CryptoSigner

from patchtide.adapters.feeds.advice_csaf import read_csaf
from patchtide.adapters.feeds.advice_osv import read_osv
from patchtide.adapters.feeds.apt_changelog import read_changelog
from patchtide.adapters.feeds.apt_packages import read_packages as read_deb_packages
from patchtide.adapters.feeds.apt_release import read_release
from patchtide.adapters.trust.drafts import first_state
from patchtide.adapters.trust.layout import to_bytes
from patchtide.adapters.trust.vouching import verified
from patchtide.domain.errors import InvalidDocument, PatchtideError
from patchtide.server.ports.catalog_files import Pin
from patchtide.wire.catalog_file import (
    CarriedUpdateV1,
    ManifestV1,
    PartV1,
    UpdatesV1,
    VoucherV1,
    make_head,
    pack_updates,
    read_head,
    read_manifest,
    read_updates,
)
from patchtide.wire.messages import encode
from patchtide.wire.site_states import ContainerV1, SiteStatesV1, read_states
from patchtide.wire.spool import pack_spool, unpack_spool
from tests.simulator.clock import START
from tests.unit.adapters.feeds.test_rpm_reading import (
    ADVISORIES,
    PACKAGE,
    PACKERS,
    index,
    read_any,
)

ROUNDS = int(os.environ.get("PATCHTIDE_TORTURE_ROUNDS", "10"))
ROUND_S = 0.5
DATA = Path(__file__).parents[1] / "data/advisories"
PACKAGES = b"""Package: toy
Version: 1.0-1
Architecture: amd64
Filename: pool/toy.deb
Size: 7
SHA256: %s

""" % (b"0a" * 32)
RELEASE = b"""Origin: Debian
Label: Debian-Security
Suite: stable-security
Codename: bookworm-security
Version: 12
Date: Mon, 02 Mar 2026 12:00:00 UTC
SHA256:
 %s 100 main/binary-amd64/Packages
""" % (b"0a" * 32)
CHANGELOG = b"""toy (1.0-1+deb12u1) bookworm-security; urgency=high

  * CVE-2026-12345

 -- T <t@t>  Mon, 02 Mar 2026 12:00:00 +0000
"""
STATE = first_state(lambda role: CryptoSigner.generate_ed25519().public_key, START)
ROOT, TARGETS = (to_bytes(STATE[role]) for role in ("root", "targets"))
MANIFEST = ManifestV1(
    site="hq", lineage=bytes(16), made_at=1, serials={"debian-12": 1}, updates=0, parts=()
)
CATALOG_HEAD = make_head(VoucherV1(roots=(ROOT,), targets=TARGETS, signatures=()), encode(MANIFEST))
UPDATES = UpdatesV1(shard="debian-12", updates=(CarriedUpdateV1(None, ()),))
STATES = SiteStatesV1(
    site="ship", lineage=bytes(16), epoch="one", sequence=1,
    containers=(ContainerV1("required", "", 5, 65_536, b"\0"),),
)  # fmt: skip
SEEDS: Sequence[bytes] = (
    index(), ADVISORIES, PACKAGE, PACKAGES, RELEASE, CHANGELOG,
    *(path.read_bytes() for path in sorted(DATA.glob("*.json"))),
    *(pack(ADVISORIES) for pack in PACKERS.values()),
    pack_spool({"debian-12": ()}, as_of={}, stamp=b"x"),
    ROOT, TARGETS, CATALOG_HEAD, encode(MANIFEST), pack_updates(UPDATES),
    bytes(64) + encode(STATES),
)  # fmt: skip


def read_carried(data: bytes) -> None:
    """Read it as each part of a catalog's file, as if its digests and signatures were right."""
    read = BytesIO(data).read
    with suppress(PatchtideError):
        read_head(read)
    with suppress(PatchtideError):
        read_manifest(data)
    with suppress(PatchtideError):
        read_updates(data, PartV1("updates", sha256(data).digest(), len(data)))
    with suppress(PatchtideError):
        read_states(data, lambda signature, signed: True)
    pins = {"hq": Pin(root=sha256(data).digest())}
    for roots, targets in (((data,), data), ((data, ROOT), TARGETS), ((ROOT,), data)):
        known = pins | {"own": Pin(root=sha256(ROOT).digest())}
        with suppress(PatchtideError):
            verified(
                VoucherV1(roots=roots, targets=targets, signatures=()),
                b"",
                pins=known,
                now=START,
            )


DECODERS: Sequence[Callable[[bytes], object]] = (
    read_any,
    read_osv,
    read_csaf,
    unpack_spool,
    read_carried,
    lambda data: read_release(data.decode("utf-8", "replace")),
    lambda data: list(read_deb_packages(BytesIO(data))),
    lambda data: list(read_changelog(data.decode("utf-8", "replace"))),
)
REFUSALS = (PatchtideError, InvalidDocument, msgspec.DecodeError, UnicodeDecodeError)


def mutated(dice: random.Random) -> bytes:
    """Return a document with some bytes changed, moved, doubled, or mixed with another's."""
    data = bytearray(dice.choice(SEEDS))
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(data) + 1)
        end = min(len(data), at + dice.choice((1, 1, 4, 30, 300)))
        match dice.randrange(5):
            case 0:
                data[at:end] = dice.randbytes(end - at)
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = data[at:end] * dice.choice((1, 2, 50))
            case 3:
                other = dice.choice(SEEDS)
                start = dice.randrange(len(other))
                data[at:end] = other[start : start + 40]
            case _:
                data[at:end] = dice.choice(
                    (b"<", b">", b'"', b"\0", b"]]>", b"&#0;", b"-1", b"9" * 30)
                )
    return bytes(data[: 1 << 16])


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_decoder_reads_or_refuses_and_never_fails_otherwise(number: int) -> None:
    dice = random.Random(20260302 + number)
    ends = time.monotonic() + ROUND_S
    tried = 0
    while time.monotonic() < ends:
        data = mutated(dice)
        tried += 1
        for decode in DECODERS:
            try:
                decode(data)
            except REFUSALS:
                continue
            except Exception as error:
                pytest.fail(f"seed {20260302 + number}: {error!r} of {data!r}")
    assert tried > 0
