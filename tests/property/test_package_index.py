"""An index is the same however its bytes arrive."""

from __future__ import annotations

from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st

from patchtide.adapters.feeds.apt_packages import read_packages

REST = f"Architecture: all\nFilename: x.deb\nSize: 1\nSHA256: {'0' * 64}"
names = st.text("abcdefgh-", min_size=1, max_size=20)


class Trickle(BytesIO):
    """Gives as few bytes at once as it is told."""

    def __init__(self, data: bytes, piece: int) -> None:
        super().__init__(data)
        self._piece = piece

    def read(self, size: int | None = -1, /) -> bytes:
        del size
        return super().read(self._piece)


@given(
    st.dictionaries(names, st.text("0123456789.~+", min_size=1)),
    st.integers(1, 40),
    st.integers(1, 3),
)
def test_no_package_is_lost_between_two_pieces(
    versions: dict[str, str], piece: int, gap: int
) -> None:
    stanzas = [f"Package: {name}\nVersion: {v}\n{REST}" for name, v in versions.items()]
    index = ("\n" + "\n" * gap).join(stanzas) + "\n"

    read = read_packages(Trickle(index.encode(), piece), versions)
    found = {package.name: package.version for package in read}

    assert found == versions
