"""The frame of an exported catalog: bounded, verified before it is read, exact to the byte."""

from __future__ import annotations

import io
from hashlib import sha256
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.errors import PatchtideError
from patchtide.wire import catalog_file
from patchtide.wire.catalog_file import (
    MAGIC,
    CarriedUpdateV1,
    CatalogFileDamaged,
    ManifestV1,
    PartV1,
    SignatureV1,
    UpdatesV1,
    VoucherV1,
    check_parts,
    make_head,
    pack_updates,
    read_head,
    read_manifest,
    read_updates,
    size_of,
)
from patchtide.wire.leaves import entry
from patchtide.wire.messages import decode, encode
from patchtide.wire.site_states import ContainerV1, SiteStatesV1

VOUCHER = VoucherV1(roots=(b"root",), targets=b"targets", signatures=(SignatureV1("k", b"signed"),))
BODIES = (pack_updates(UpdatesV1(shard="debian-12", updates=())), b"", b"a package")
PARTS = tuple(
    PartV1("updates" if place == 0 else "content", sha256(body).digest(), len(body))
    for place, body in enumerate(BODIES)
)
MANIFEST = encode(
    ManifestV1(
        site="hq", lineage=bytes(16), made_at=1, serials={"debian-12": 3}, updates=0, parts=PARTS
    )
)
WHOLE = make_head(VOUCHER, MANIFEST) + b"".join(BODIES)


def read_through(data: bytes) -> ManifestV1:
    """Read a file as whoever takes one in does, but for the signature."""
    file = io.BytesIO(data)
    _, told = read_head(file.read)
    if told != MANIFEST:
        raise CatalogFileDamaged("another manifest, which nobody signed")
    manifest = read_manifest(told)
    check_parts(file.read, manifest.parts)
    return manifest


def test_what_was_made_is_read() -> None:
    assert read_through(WHOLE).parts == PARTS
    assert size_of(make_head(VOUCHER, MANIFEST), PARTS) == len(WHOLE)


@given(st.integers(min_value=0, max_value=len(WHOLE) - 1), st.integers(1, 255))
def test_another_byte_anywhere_behind_the_voucher_is_refused(place: int, change: int) -> None:
    data = bytearray(WHOLE)
    data[place] ^= change
    vouched = range(len(MAGIC) + 8, len(WHOLE) - len(MANIFEST) - sum(map(len, BODIES)))

    if place not in vouched:  # what vouches is held against a pinned root, by others
        with pytest.raises(CatalogFileDamaged):
            read_through(bytes(data))


@given(st.integers(min_value=0, max_value=len(WHOLE) - 1))
def test_a_file_that_ends_early_is_refused_wherever_it_does(end: int) -> None:
    with pytest.raises(CatalogFileDamaged):
        read_through(WHOLE[:end])


def test_nothing_may_follow() -> None:
    with pytest.raises(CatalogFileDamaged, match="follows"):
        read_through(WHOLE + b"\0")


@pytest.mark.parametrize("lengths", [(2**32 - 1, 1), (1, 2**32 - 1)], ids=["voucher", "manifest"])
def test_lengths_are_bounded_before_anything_is_read(lengths: tuple[int, int]) -> None:
    asked: list[int] = []
    head = io.BytesIO(MAGIC + b"".join(length.to_bytes(4) for length in lengths))

    def read(size: int) -> bytes:
        asked.append(size)
        return head.read(size)

    with pytest.raises(CatalogFileDamaged, match="its head says"):
        read_head(read)
    assert asked == [catalog_file.LENGTHS]


@given(st.binary(max_size=300))
def test_no_bytes_at_all_break_a_reader(data: bytes) -> None:
    for attempt in (
        lambda: read_head(io.BytesIO(MAGIC + data).read),
        lambda: read_manifest(data),
        lambda: read_updates(data, PartV1("updates", sha256(data).digest(), len(data))),
    ):
        with pytest.raises(PatchtideError):
            attempt()


def test_a_part_is_unpacked_only_if_it_was_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[bytes] = []
    monkeypatch.setattr(catalog_file, "unpack", lambda packed, **_: unpacked.append(packed))

    with pytest.raises(CatalogFileDamaged):
        read_updates(BODIES[0] + b"\0", PARTS[0])
    assert unpacked == []


def test_a_part_that_grows_without_end_is_refused() -> None:
    bomb = zstandard.ZstdCompressor(write_content_size=True).compress(bytes(80 << 20))
    part = PartV1("updates", sha256(bomb).digest(), len(bomb))

    assert len(bomb) < 10_000
    with pytest.raises(CatalogFileDamaged, match="declares"):
        read_updates(bomb, part)


GOLDEN = Path(__file__).parents[2] / "golden" / "exchange"
STATES = SiteStatesV1(
    site="ship",
    lineage=bytes(range(16)),
    epoch="one",
    sequence=7,
    containers=(
        ContainerV1("required", "", 5, 65_536, b"\x00\x02"),
        ContainerV1("evaluated", "debian-12", 3, 65_536, b"\x00"),
    ),
)
DOCUMENTS = {
    "voucher1": VOUCHER,
    "catalogfile1": read_manifest(MANIFEST),
    "updates1": UpdatesV1(
        shard="debian-12",
        updates=(CarriedUpdateV1(None, (entry(5, 2, b"\x80"),)),),
    ),
    "sitestates1": STATES,
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_golden_documents_read_and_write_as_ever(name: str) -> None:
    golden = bytes.fromhex((GOLDEN / f"{name}.hex").read_text())
    kind = type(DOCUMENTS[name])

    assert encode(DOCUMENTS[name]) == golden == encode(decode(golden, kind))
