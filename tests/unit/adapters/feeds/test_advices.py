"""OSV and CSAF documents: real ones, wrong ones, archives, and archives made to do harm."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchtide.adapters.feeds import advices
from patchtide.adapters.feeds.advice_csaf import read_csaf
from patchtide.adapters.feeds.advice_osv import read_osv, shard_of
from patchtide.adapters.feeds.advices import AdviceShelf
from patchtide.adapters.feeds.errors import FeedDamaged, FeedUnreachable
from patchtide.domain.catalog.details import Severity
from patchtide.domain.catalog.enrichment import Advice, Fix

DATA = Path(__file__).parents[3] / "data/advisories"
OSV, CSAF = DATA / "ALSA-2022_5099.json", DATA / "rhsa-2022_0011.json"


def osv(**more: Any) -> bytes:
    said = {"id": "DSA-1-1", "modified": "2026-03-02T12:00:00Z", **more}
    return json.dumps(said).encode()


def csaf(**more: Any) -> bytes:
    head = {"csaf_version": "2.0", "tracking": {"id": "RHSA-2026:1", "status": "final"}}
    return json.dumps({"document": head, **more}).encode()


def test_an_osv_document_of_a_distribution_is_read() -> None:
    said = read_osv(OSV.read_bytes())

    assert said is not None
    assert (said.ids, said.severity) == (frozenset({"ALSA-2022:5099"}), Severity.IMPORTANT)
    assert len(said.cves) == 8 and "CVE-2022-28737" in said.cves
    assert Fix("almalinux-9", "shim-x64", "15.6-1.el9.alma") in said.fixes
    assert said.text.startswith("Important: grub2, mokutil") and "(CVE-2022-28737)" in said.text


def test_a_csaf_document_of_a_vendor_is_read() -> None:
    said = read_csaf(CSAF.read_bytes())

    assert said is not None
    assert (said.ids, said.severity) == (frozenset({"RHSA-2022:0011"}), Severity.IMPORTANT)
    assert said.cves == {"CVE-2020-10188"}
    assert said.text.startswith("Red Hat Security Advisory: telnet security update\n\nAn update")
    assert "Creative Commons" not in said.text


SEVERITIES: dict[str, tuple[dict[str, Any], Severity]] = {
    "nothing": ({}, Severity.NONE),
    "its database's word": ({"database_specific": {"severity": "HIGH"}}, Severity.IMPORTANT),
    "a priority": ({"severity": [{"type": "Ubuntu", "score": "medium"}]}, Severity.MODERATE),
    "a vector": (
        {
            "severity": [
                {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},
                {"type": "CVSS_V4", "score": "CVSS:4.0/AV:N"},
            ]
        },
        Severity.CRITICAL,
    ),
    "its title": ({"summary": "Low: toy update"}, Severity.LOW),
    "a word of another kind": ({"database_specific": {"severity": ["HIGH"]}}, Severity.NONE),
}


@pytest.mark.parametrize(("more", "severity"), SEVERITIES.values(), ids=SEVERITIES)
def test_a_severity_is_its_vendors_word_or_its_vector(
    more: dict[str, Any], severity: Severity
) -> None:
    said = read_osv(osv(**more))

    assert said is not None and said.severity is severity


def test_scores_of_vulnerabilities_stand_for_a_severity_that_is_not_said() -> None:
    scores = [{"scores": [{"cvss_v3": {"baseScore": 5.0}}, {"cvss_v4": {"baseScore": 9.1}}]}]
    said = read_csaf(csaf(vulnerabilities=scores))

    assert said is not None and said.severity is Severity.CRITICAL


def test_what_was_taken_back_or_is_a_draft_says_nothing() -> None:
    draft = csaf().replace(b'"final"', b'"draft"')

    assert read_osv(osv(withdrawn="2026-03-03T00:00:00Z")) is None and read_csaf(draft) is None


SYSTEMS = {
    "Debian:12": "debian-12", "Ubuntu:22.04:LTS": "ubuntu-22.04", "Ubuntu:Pro:18.04:LTS": "",
    "AlmaLinux:9": "almalinux-9", "Rocky Linux:8": "rocky-8", "npm": "", "Debian": "",
    "Red Hat:enterprise_linux:9::appstream": "rhel-9", "openSUSE:Leap 15.6": "opensuse-leap-15.6",
    "SUSE:Linux Enterprise Server 15 SP6": "sles-15.6",
}  # fmt: skip


@pytest.mark.parametrize(("ecosystem", "shard"), SYSTEMS.items())
def test_an_ecosystem_is_a_shard_or_none(ecosystem: str, shard: str) -> None:
    assert shard_of(ecosystem) == shard


def test_a_name_longer_than_any_is_none() -> None:
    said = read_osv(osv(aliases=["x" * 300, "", "DSA-2-1"]))

    assert said is not None and said.ids == {"DSA-1-1", "DSA-2-1"}
    with pytest.raises(msgspec.DecodeError):
        read_osv(osv(id="x" * 300))


def test_files_folders_and_archives_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "folder/deep").mkdir(parents=True)
    (tmp_path / "folder/deep/a.json").write_bytes(osv(id="A"))
    (tmp_path / "folder/b.txt").write_bytes(osv(id="B"))
    (tmp_path / "c.json").write_bytes(csaf())
    with zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../d.json", osv(id="D"))
        archive.writestr("e.json", b"{")
    shelf = AdviceShelf([tmp_path / "folder", tmp_path / "c.json", tmp_path / "d.zip"])

    found = [sorted(advice.ids) for advice in shelf.advices()]

    assert found == [["A"], ["RHSA-2026:1"], ["D"]]
    assert shelf.note == "1 advisories cannot be read: e.json"


def test_a_stamp_changes_with_the_files(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(osv(id="A"))
    shelf = AdviceShelf([tmp_path])
    before = shelf.stamp()
    path.write_bytes(osv(id="AA"))

    assert AdviceShelf([tmp_path]).stamp() != before == before


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", bytes(64 << 20))


def another_compression(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.json", osv())


def torn(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", osv() * 100)
    data = bytearray(path.read_bytes())
    data[40:60] = bytes(20)
    path.write_bytes(data)


def many(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(11):
            archive.writestr(f"{number}.json", osv())


@pytest.mark.parametrize("harm", [bomb, another_compression, torn, many, Path.touch])
def test_an_archive_that_is_made_to_do_harm_is_refused(
    tmp_path: Path, harm: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advices, "MAX_DOCUMENTS", 10)
    harm(tmp_path / "a.zip")

    with pytest.raises(FeedDamaged):
        list(AdviceShelf([tmp_path]).advices())


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FeedUnreachable, match="gone"):
        list(AdviceShelf([tmp_path / "gone"]).advices())


words = st.sampled_from(
    ["id", "modified", "aliases", "affected", "ranges", "events", "fixed", "package", "severity",
     "document", "tracking", "csaf_version", "2.0", "notes", "scores", "CVE-2026-10001"]
)  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=5),
    max_leaves=20,
)


@given(json_values.map(json.dumps).map(str.encode) | st.binary())
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    for read in (read_osv, read_csaf):
        try:
            assert isinstance(read(data), Advice | None)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
