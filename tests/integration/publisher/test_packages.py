"""What packages say of themselves is what their platform's own tools say of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from patchtide.adapters.publisher.packages import Identity, identity_of
from patchtide.domain.catalog.installers import InstallerKind
from patchtide.domain.errors import Refused
from tests.simulator.apt_repository import tool
from tests.simulator.debs import a_deb

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
needs_rpmbuild = pytest.mark.skipif(shutil.which("rpmbuild") is None, reason="needs rpmbuild")


@needs_dpkg
@pytest.mark.parametrize("packed", ["none", "gzip", "xz", "zstd"])
def test_a_debian_package_however_its_control_file_is_packed(tmp_path: Path, packed: str) -> None:
    control = tmp_path / "build/DEBIAN/control"
    control.parent.mkdir(parents=True)
    control.write_text(
        "Package: acme-backup\nVersion: 1:2.4~rc1-1\nArchitecture: arm64\n"
        "Maintainer: A <a@invalid>\nDescription: x\n Version: 9\n"
    )
    made = tmp_path / "made.deb"
    tool("dpkg-deb", f"-Z{packed}", "--root-owner-group", "--build", tmp_path / "build", made)

    assert identity_of(made, InstallerKind.DEB) == Identity(
        package="acme-backup", version="1:2.4~rc1-1", architecture="arm64"
    )


@needs_dpkg
def test_a_package_made_without_a_tool_is_one_to_the_tool(tmp_path: Path) -> None:
    made = tmp_path / "made.deb"
    made.write_bytes(a_deb("hello", "2.10-3", "all"))

    said = subprocess.run(
        ["dpkg-deb", "--field", str(made), "Package", "Version"], capture_output=True, check=True
    )
    assert said.stdout.decode().split() == ["Package:", "hello", "Version:", "2.10-3"]
    assert identity_of(made, InstallerKind.DEB) == Identity(
        package="hello", version="2.10-3", architecture=""
    )


@needs_rpmbuild
def test_an_rpm_with_an_epoch_and_one_without(tmp_path: Path) -> None:
    for epoch in ("", "Epoch: 2\n"):
        spec = tmp_path / f"{len(epoch)}.spec"
        spec.write_text(
            f"Name: acme-backup\nVersion: 2.4\nRelease: 1.el9\nSummary: x\nLicense: x\n{epoch}"
            "BuildArch: noarch\n%description\nx\n%files\n"
        )
        tool("rpmbuild", "-bb", "--define", f"_topdir {tmp_path}/{len(epoch)}", spec)

    found = [identity_of(path, InstallerKind.RPM) for path in sorted(tmp_path.rglob("*.rpm"))]
    assert [(one.version, one.architecture) for one in found if one] == [
        ("2.4-1.el9", ""),
        ("2:2.4-1.el9", ""),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a package",
        b"!<arch>\n",
        b"!<arch>\n" + b"x" * 60,
        a_deb()[:150],
        a_deb().replace(b"control.tar.gz", b"control.tar.zz"),
        a_deb().replace(b"control.tar.gz  ", b"control.tar.xz  "),
        b"\xed\xab\xee\xdb" + bytes(92) + b"\x8e\xad\xe8\x01" + bytes(4) + b"\xff" * 8,
        b"\xed\xab\xee\xdb" + bytes(92) + (b"\x8e\xad\xe8\x01" + bytes(12)) * 2,
    ],
    ids=range(9),
)
def test_what_is_no_package_is_refused_whatever_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "made"
    path.write_bytes(content)

    for kind in (InstallerKind.DEB, InstallerKind.RPM):
        with pytest.raises(Refused, match=r"^made is no (Debian|RPM) package: ."):
            identity_of(path, kind)
