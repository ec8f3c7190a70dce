"""The documents of an RPM repository, read: what they say, what refuses them, and any bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from patchtide.adapters.feeds import unpacking
from patchtide.adapters.feeds.errors import FeedDamaged, FeedUnreachable
from patchtide.adapters.feeds.rpm_advisories import (
    Advisory,
    Module,
    moment,
    read_advisories,
    version_of,
)
from patchtide.adapters.feeds.rpm_index import is_path, read_index
from patchtide.adapters.feeds.rpm_mirrors import read_metalink, read_mirror_list
from patchtide.adapters.feeds.rpm_packages import OfferedPackage, read_packages
from patchtide.adapters.feeds.rpm_sources import System
from patchtide.adapters.feeds.rpm_updates import Repository, updates_of
from patchtide.adapters.feeds.unpacking import unpacked
from patchtide.adapters.feeds.xml_stream import MAX_DEPTH, read_xml
from patchtide.wire.spool import pack_spool, unpack_spool

DATA = Path(__file__).parents[3] / "data/advisories/updateinfo.xml"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress,
    ".zst": zstandard.compress, "": bytes,
}  # fmt: skip
INDEX = """<repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1772452800</revision>
<data type="primary"><checksum type="sha256">{digest}</checksum><location href="{href}"/>
<timestamp>{time}</timestamp><size>{size}</size><open-size>20</open-size></data>
<data type="filelists"><location href="../x"/></data></repomd>"""


def index(**changes: object) -> bytes:
    said = {"digest": "0a" * 32, "href": "repodata/p.xml.gz", "time": 1772456400, "size": 10}
    return INDEX.format(**{**said, **changes}).encode()


def test_an_index_names_its_documents_and_when_they_were_made() -> None:
    found = read_index(index(), name="repomd.xml")

    file = found.files["primary"]
    assert (file.href, file.size_bytes, file.open_size_bytes) == ("repodata/p.xml.gz", 10, 20)
    assert set(found.files) == {"primary"} and found.made_at == datetime(2026, 3, 2, 13, tzinfo=UTC)


def test_without_times_the_revision_is_one() -> None:
    assert read_index(index(time=0), name="x").made_at == datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [{"digest": "0a" * 20}, {"digest": "XY" * 32}, {"size": -1}, {"size": 1 << 40}, {"size": "x"},
     {"href": ""}, {"href": "../x"}, {"href": "http://x/y"}],
    ids=str,
)  # fmt: skip
def test_an_index_that_names_no_file_to_trust_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FeedDamaged):
        read_index(index(**changes), name="repomd.xml")


PATHS = {
    "repodata/x.gz": True, "Packages/a/a~1^2+b,c.rpm": True, "a/..b/c": True, "%41": True,
    "/etc/x": False, "a/../b": False, "a/%2e%2e/b": False, "%252e%252e/x": False, "": False,
    "a\\b": False, "a b": False, "a\nb": False, "https://x/y": False, "//x/y": False,
}  # fmt: skip


@pytest.mark.parametrize(("path", "fits"), PATHS.items())
def test_a_place_stays_in_its_repository(path: str, fits: bool) -> None:
    assert is_path(path) is fits


ADVISORIES = b"""<updates>
<update type="security" status="final"><id>A-1</id><title>t</title><severity>Moderate</severity>
<issued date="1772452800"/><updated date="2026-03-03 01:00:00"/><description>d</description>
<references><reference id="CVE-2026-10001" type="cve"/><reference id="4711" type="bugzilla"/>
</references><pkglist><collection><package name="a" epoch="0" version="1" release="2" arch="x86_64">
<filename>a</filename><reboot_suggested/></package></collection>
<collection><module name="m" stream="s"/><package name="b" epoch="1" version="1" release="2"
arch="noarch"/></collection></pkglist></update>
<update type="bugfix" status="retracted"><id>A-2</id></update></updates>"""


def test_an_advisory_says_what_it_is_and_what_it_mends() -> None:
    (told,) = read_advisories([ADVISORIES], name="updateinfo")

    plain, modular = told.packages
    assert (told.id, told.kind, told.severity, told.cves) == (
        "A-1", "security", "moderate", ("CVE-2026-10001",),
    )  # fmt: skip
    assert told.issued == datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert (plain.version, plain.module, plain.restart) == ("1-2", None, True)
    assert (modular.version, modular.module, modular.restart) == ("1:1-2", Module("m", "s"), False)


def test_each_vendor_says_it_in_its_own_place() -> None:
    fedora, redhat, suse, amazon = read_advisories([DATA.read_bytes()], name="updateinfo")

    assert [a.cves for a in (fedora, redhat, suse, amazon)] == [
        (f"CVE-2026-1000{n}",) for n in range(1, 5)
    ]
    assert fedora.restart and not any(package.restart for package in fedora.packages)
    assert [p.restart for p in redhat.packages] == [False, True] and not redhat.restart
    assert [p.module for p in redhat.packages] == [Module("nodejs", "18"), None]
    assert [p.relogin for p in suse.packages] == [True]
    assert [a.severity for a in (redhat, suse, amazon)] == ["moderate", "important", "medium"]
    assert suse.issued == amazon.issued == datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "broken", [(b"<id>A-1</id>", b""), (b'arch="x86_64"', b""), (b"</updates>", b"")]
)
def test_an_advisory_that_lacks_what_it_must_have_is_refused(broken: tuple[bytes, bytes]) -> None:
    with pytest.raises(FeedDamaged):
        read_advisories([ADVISORIES.replace(*broken)], name="updateinfo")


def test_dates_are_read_as_vendors_write_them() -> None:
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    texts = ("1772452800", "2026-03-02 12:00:00", "2026-03-02T13:00:00+01:00", "2026-03-02 12:00")

    assert [moment(text) for text in (*texts, "2026-03-02 12:00:00 UTC")] == [noon] * 5
    assert [moment(text) for text in ("", "yesterday", "9" * 40)][:2] == [None, None]


def test_a_version_has_an_epoch_only_where_it_says_something() -> None:
    assert [version_of(e, "1", "2") for e in (None, "", "0", "00", "1", "010")] == [
        "1-2", "1-2", "1-2", "1-2", "1:1-2", "10:1-2",
    ]  # fmt: skip


PACKAGE = b"""<metadata><package type="rpm"><name>a</name><arch>x86_64</arch>
<version epoch="0" ver="1" rel="2"/><checksum type="sha256" pkgid="YES">%s</checksum>
<size package="7"/><location href="Packages/a.rpm"/><format><rpm:provides>
<rpm:entry name="installonlypkg(kernel)"/></rpm:provides><rpm:requires>
<rpm:entry name="multiversion(no)"/></rpm:requires></format></package>
<package type="rpm"><name>b</name></package></metadata>""" % (b"0a" * 32)


def test_only_packages_that_somebody_asks_for_are_read() -> None:
    (found,) = read_packages([PACKAGE], {"a"}, name="primary")

    assert (found.name, found.version, found.size_bytes) == ("a", "1-2", 7)
    assert (found.path, found.side_by_side) == ("Packages/a.rpm", True)
    assert read_packages([PACKAGE], set(), name="primary") == []


@pytest.mark.parametrize(
    "broken",
    [
        (b'"sha256"', b'"md5"'),
        (b'package="7"', b'package="-7"'),
        (b"0a0a", b"zz"),
        (b"x86_64", b""),
    ],
)
def test_a_package_that_nobody_could_know_again_is_refused(broken: tuple[bytes, bytes]) -> None:
    with pytest.raises(FeedDamaged):
        read_packages([PACKAGE.replace(*broken)], {"a"}, name="primary")


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("size", [0, 1, 3 * unpacking.PIECE + 1])
def test_what_was_packed_is_unpacked_to_its_limit_and_not_beyond(ending: str, size: int) -> None:
    body = bytes(size)
    packed = PACKERS[ending](body)

    assert b"".join(unpacked(io.BytesIO(packed), f"x{ending}", most=size)) == body
    if size:
        with pytest.raises(FeedDamaged, match="more than"):
            list(unpacked(io.BytesIO(packed), f"x{ending}", most=size - 1))


@pytest.mark.parametrize("ending", [e for e in PACKERS if e])
def test_what_ends_too_early_or_is_something_else_is_refused(ending: str) -> None:
    packed = PACKERS[ending](bytes(range(256)) * 400)

    # zstd's reader ends quietly where its file does; then the XML in it has no end.
    torn = [] if ending == ".zst" else [packed[: len(packed) // 2]]
    for wrong in (*torn, b"something else"):
        with pytest.raises(FeedDamaged):
            list(unpacked(io.BytesIO(wrong), f"x{ending}", most=1 << 30))


def test_streams_that_follow_each_other_are_one() -> None:
    for ending in (".gz", ".bz2", ".xz", ".zst"):
        packed = PACKERS[ending](b"one, ") + PACKERS[ending](b"two")
        assert b"".join(unpacked(io.BytesIO(packed), f"x{ending}", most=99)) == b"one, two"


def test_a_window_of_gigabytes_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 29}]
    xz = bytearray(lzma.compress(b"x", filters=filters))
    parameters = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    machine = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    zst = machine.compress(b"x") + machine.flush()

    for name, packed in (("x.xz", bytes(xz)), ("x.zst", zst)):
        with pytest.raises(FeedDamaged, match="unpacked"):
            list(unpacked(io.BytesIO(packed), name, most=99))


class Nothing:
    def opened(self, tag: str, attributes: dict[str, str]) -> bool:
        return True

    def closed(self, tag: str, text: str) -> None: ...


HOSTILE: dict[str, bytes] = {
    "a document type": b"<!DOCTYPE x><x/>",
    "an entity": b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
    "an entity from elsewhere": b'<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><x/>',
    "an entity that nobody declared": b"<x>&a;</x>",
    "too deep": b"<a>" * (MAX_DEPTH + 1),
    "too many": b"<x>" + b"<a/>" * 1000 + b"</x>",
    "too long a text": b"<x>" + b"a" * (2 << 20) + b"</x>",
    "torn": b"<x><a>",
    "nothing": b"",
    "two": b"<x/><x/>",
}


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE)
def test_xml_that_no_repository_needs_is_refused(document: bytes) -> None:
    with pytest.raises(FeedDamaged):
        read_xml([document], Nothing(), name="x", most=999)


def test_advisories_of_tiny_elements_are_read_up_to_their_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("patchtide.adapters.feeds.rpm_advisories._MAX_ELEMENTS", 999)

    assert read_advisories([b"<x>" + b"<a/>" * 998 + b"</x>"], name="x") == []
    with pytest.raises(FeedDamaged, match="too many elements"):
        read_advisories([b"<x>" + b"<a/>" * 999 + b"</x>"], name="x")


def test_a_tag_without_an_end_is_left_before_it_fills_the_memory() -> None:
    fed = 0

    def pieces() -> Any:
        nonlocal fed
        yield b"<x "
        while fed < 1 << 30:
            fed += 1 << 18
            yield b"a" * (1 << 18)

    with pytest.raises(FeedDamaged, match="without an end"):
        read_xml(pieces(), Nothing(), name="x")
    assert fed <= 4 << 20


names = st.sampled_from(
    ["repomd", "revision", "data", "location", "checksum", "size", "open-size", "timestamp",
     "updates", "update", "id", "issued", "references", "reference", "pkglist", "collection",
     "module", "package", "reboot_suggested", "metadata", "name", "arch", "version", "format",
     "rpm:provides", "rpm:entry"]
)  # fmt: skip
keys = st.sampled_from(
    ["type", "href", "date", "id", "name", "stream", "epoch", "version", "release", "arch", "ver",
     "rel", "package", "xml:base"]
)  # fmt: skip
values = st.sampled_from(["primary", "updateinfo", "sha256", "a", "1", "rpm", "0a" * 32, "../x"])


def element(name: str, attributes: dict[str, str], inner: str) -> str:
    said = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f"<{name}{said}>{inner}</{name}>"


trees = st.recursive(
    values,
    lambda inner: st.builds(
        element,
        names,
        st.dictionaries(keys, values, max_size=4),
        st.lists(inner, max_size=4).map("".join),
    ),
    max_leaves=20,
)
documents = trees.map(str.encode) | st.binary(max_size=200)


def read_any(document: bytes) -> None:
    """Read bytes as every kind of document; each is read or refused, and nothing else."""
    for read in (
        lambda: read_index(document, name="x"),
        lambda: read_advisories([document], name="x"),
        lambda: read_packages([document], {"a", "1"}, name="x"),
        lambda: read_metalink(document, name="x"),
        lambda: read_mirror_list(document, name="x"),
        *(lambda e=e: list(unpacked(io.BytesIO(document), f"x{e}", most=1 << 20)) for e in PACKERS),  # type: ignore[misc]
    ):
        try:
            read()
        except (FeedDamaged, FeedUnreachable):
            continue


@given(documents)
def test_whatever_comes_is_read_or_refused(document: bytes) -> None:
    read_any(document)


SYSTEM = System(
    os_id="toylinux", version="9.4", name="Toy Linux", vendor="Toys",
    architectures=("x86_64",), has_minors=True,
)  # fmt: skip


def handed_over(advisories: list[Advisory]) -> int:
    """Make updates of what was read and hand them over; return how many came through."""
    offers = [
        OfferedPackage(
            name=p.name, architecture=p.architecture, version=p.version, sha256=bytes(32),
            size_bytes=1, path="x.rpm",
        )
        for told in advisories
        for p in told.packages
    ]  # fmt: skip
    repository = Repository(
        architecture="x86_64", advisories=advisories, packages=offers, address="https://x.invalid"
    )
    made = updates_of([repository], SYSTEM)
    _, shards = unpack_spool(pack_spool({"x": made.updates}, as_of={}, stamp=b""))
    return len(shards["x"])


def test_what_was_read_can_be_handed_over() -> None:
    assert handed_over(read_advisories([DATA.read_bytes()], name="x")) == 4


@given(st.data())
def test_whatever_is_accepted_of_an_advisory_can_be_handed_over(data: st.DataObject) -> None:
    """One advisory that the server refuses would keep all others away."""
    text = ADVISORIES.decode()
    for old in ("A-1", "t</title>", "d</desc", 'stream="s"', 'name="a"', 'version="1"', "noarch"):
        new = data.draw(st.sampled_from((old, old, "", "x" * 300, "\u2028é'", 'name=""')))
        text = text.replace(old, new)
    try:
        found = read_advisories([text.encode()], name="x")
    except FeedDamaged:
        return

    assert handed_over(found) <= 1


@given(st.sampled_from([index(), ADVISORIES, PACKAGE]), st.data())
def test_a_document_with_a_few_bytes_changed_is_read_or_refused(
    document: bytes, data: st.DataObject
) -> None:
    changed = bytearray(document)
    for at in data.draw(st.lists(st.integers(0, len(document) - 1), max_size=4)):
        changed[at] = data.draw(st.integers(0, 255))

    read_any(bytes(changed))


@given(st.sampled_from([e for e in PACKERS if e]), st.binary(max_size=400), st.data())
def test_a_packed_file_with_bytes_changed_is_unpacked_or_refused(
    ending: str, body: bytes, data: st.DataObject
) -> None:
    packed = bytearray(PACKERS[ending](body))
    for at in data.draw(st.lists(st.integers(0, len(packed) - 1), max_size=3)):
        packed[at] ^= data.draw(st.integers(1, 255))

    try:
        assert len(b"".join(unpacked(io.BytesIO(packed), f"x{ending}", most=1 << 16))) <= 1 << 16
    except FeedDamaged:
        return
