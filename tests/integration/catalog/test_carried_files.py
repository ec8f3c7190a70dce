"""Files of catalogs as they lie on a disk: pieces in order, nothing outside, nothing twice."""

from __future__ import annotations

import io
from hashlib import sha256
from pathlib import Path

import pytest

from patchtide.adapters.content.carried import ExportFolder, ImportFolder
from patchtide.adapters.content.files import FileContentStore, WrongContent
from patchtide.domain.errors import NotFound, Unavailable
from patchtide.wire.catalog_file import ManifestV1, PartV1, VoucherV1, make_head, name_of
from patchtide.wire.messages import encode

NAME, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture
def content(tmp_path: Path) -> FileContentStore:
    return FileContentStore(tmp_path / "content")


@pytest.fixture
def imports(tmp_path: Path, content: FileContentStore) -> ImportFolder:
    return ImportFolder(tmp_path / "imports", content)


def test_pieces_are_taken_in_their_order_and_no_other(imports: ImportFolder) -> None:
    assert imports.append(NAME, b"one", at=0) == 3
    assert imports.append(NAME, b"one", at=0) == 3
    assert imports.append(NAME, b"three", at=7) == 3
    assert imports.append(NAME, b"two", at=3) == imports.received(NAME) == 6


def test_of_two_files_on_their_way_the_later_one_stays(imports: ImportFolder) -> None:
    imports.append(NAME, b"one", at=0)
    imports.append(OTHER, b"two", at=0)

    assert (imports.received(NAME), imports.received(OTHER)) == (0, 3)


@pytest.mark.parametrize("name", ["", "../x", "/etc/passwd", "AB" * 32, NAME + "/..", "x" * 64])
def test_only_digests_are_names(imports: ImportFolder, name: str) -> None:
    with pytest.raises(NotFound):
        imports.append(name, b"one", at=0)


@pytest.mark.parametrize("site", ["", "..", "a/b", "A", "*", "a.b"])
def test_a_site_has_a_plain_name(imports: ImportFolder, site: str) -> None:
    imports.append(NAME, b"one", at=0)

    with pytest.raises(NotFound):
        imports.take(NAME, exporter=site, length=3)
    assert imports.received(NAME) == 3


def test_a_nearly_full_disk_takes_nothing_more(tmp_path: Path, content: FileContentStore) -> None:
    imports = ImportFolder(tmp_path / "imports", content, reserve_bytes=1 << 62)

    with pytest.raises(Unavailable, match="nearly full"):
        imports.append(NAME, b"one", at=0)
    assert imports.received(NAME) == 0


def test_an_export_is_read_across_its_parts_at_any_place(
    tmp_path: Path, content: FileContentStore
) -> None:
    exports = ExportFolder(tmp_path / "exports", content)
    content.put(b"a package")
    told = exports.put("updates", b"what is told")
    package = PartV1("content", sha256(b"a package").digest(), 9)
    manifest = encode(
        ManifestV1(
            site="hq", lineage=bytes(16), made_at=1, serials={}, updates=0, parts=(told, package)
        )
    )
    head = make_head(VoucherV1(roots=(), targets=b"", signatures=()), manifest)
    exports.finish(name_of(manifest), head, (told, package))
    whole = head + b"what is told" + b"a package"

    for offset in range(len(whole) + 1):
        data, size = exports.read(name_of(manifest), offset, at_most=14)
        assert (data, size) == (whole[offset : offset + 14], len(whole))


def test_content_that_is_something_else_is_not_kept(content: FileContentStore) -> None:
    digest = sha256(b"right").hexdigest()

    with pytest.raises(WrongContent):
        content.put_from(io.BytesIO(b"wrong").read, digest=digest, size=5)
    assert not content.path(digest).exists() and content.sizes() == {}
