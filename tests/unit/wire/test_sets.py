"""Sets of update numbers: one canonical form, read back exactly, hostile bytes refused."""

from __future__ import annotations

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.errors import InvalidDocument
from patchtide.wire.sets import (
    MAX_NUMBER,
    check_set,
    decode_set,
    encode_set,
    pack,
    state_digest,
    unpack,
)

numbers = st.sets(
    st.one_of(st.integers(0, 500), st.integers(0, 10**6), st.integers(0, MAX_NUMBER)), max_size=300
)


@given(numbers)
def test_a_set_comes_back_as_it_went(members: set[int]) -> None:
    data = encode_set(members)

    assert decode_set(data) == sorted(members)
    assert check_set(unpack(pack(data))) == data


@given(st.binary(max_size=60))
def test_bytes_are_one_set_or_refused(data: bytes) -> None:
    try:
        members = decode_set(data)
    except InvalidDocument:
        with pytest.raises(InvalidDocument):
            check_set(data)
    else:
        assert encode_set(members) == data == check_set(data)


NOT_CANONICAL = {
    "ends within a number": b"\x01\x80",
    "zero spelled with two bytes": b"\x80\x00",
    "six bytes for one number": b"\xff\xff\xff\xff\xff\x01",
    "more than 32 bits": b"\xff\xff\xff\xff\x7f",
    "a sum of more than 32 bits": b"\xff\xff\xff\xff\x0f\x00",
}


@pytest.mark.parametrize("data", NOT_CANONICAL.values(), ids=NOT_CANONICAL)
def test_another_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidDocument):
        decode_set(data)


BOMBS = {
    "no frame": b"hello",
    "larger than allowed": pack(bytes(2 << 20)),
    "of unstated size": zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 9),
    "cut short": pack(b"x" * 400 + bytes(range(256)))[:-3],
    "followed by more": pack(b"abc") + b"!",
    "nothing": b"",
}


@pytest.mark.parametrize("packed", BOMBS.values(), ids=BOMBS)
def test_only_one_complete_frame_within_the_limit_is_unpacked(packed: bytes) -> None:
    with pytest.raises(InvalidDocument):
        unpack(packed)


@given(st.lists(numbers, min_size=3, max_size=3), st.permutations([0, 1, 2]))
def test_the_digest_tells_the_sets_apart(sets: list[set[int]], order: list[int]) -> None:
    def digest(parts: list[set[int]]) -> bytes:
        required, installed, unknown = (encode_set(part) for part in parts)
        return state_digest(
            lineage=bytes(16), required=required, installed=installed, unknown=unknown
        )

    reordered = [sets[i] for i in order]

    assert (digest(sets) == digest(reordered)) == (sets == reordered)
