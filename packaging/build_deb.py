"""Build the agent's Debian package: the bare wheel, its pinned libraries, its unit.

    python packaging/build_deb.py --wheelhouse FOLDER --output FOLDER

The wheelhouse holds the wheel of patchtide and those of requirements/agent.txt, whose hashes are
checked; nothing is fetched. The package fits machines whose Python is of the version that runs
this. The same wheels give the same bytes, whenever and wherever it is built (S38).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "packaging/agent"
PINS = ROOT / "requirements/agent.txt"
NAME = "patchtide-agent"
HOME = Path("usr/lib") / NAME
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
NEXT_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor + 1}"
EPOCH = "1580601600"
"""As in the wheel: no file says when it was built."""
SCRIPTS = ("postinst", "prerm", "postrm")
HELD = ("apt-daily-upgrade", "dnf-automatic", "dnf-automatic-install", "dnf5-automatic")
"""Services that the agent may hold back."""
OLDEST_LIBC = (2, 17)
CONTROL = """\
Package: {name}
Version: {version}
Architecture: {architecture}
Maintainer: Patchtide <root@localhost>
Installed-Size: {size}
Depends: python3 (>= {python}~), python3 (<< {next_python}~), libc6 (>= {libc}), passwd
Section: admin
Priority: optional
Description: Patchtide agent
 Finds out which updates this machine needs and tells its Patchtide server.
 This version installs nothing. Where its site wants it, it holds back others that
 install updates, and lets them go again. It opens no port.
"""


def main() -> int:
    asked = _parser().parse_args()
    wheel = wheel_in(asked.wheelhouse)
    os.environ["SOURCE_DATE_EPOCH"] = EPOCH
    with TemporaryDirectory(prefix="patchtide-deb-") as folder:
        tree = Path(folder) / "tree"
        lay_out(tree, wheelhouse=asked.wheelhouse, version=version_of(wheel))
        made = build(tree, version=version_of(wheel), output=asked.output)
    sys.stdout.write(f"{made}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wheelhouse", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    return parser


def wheel_in(wheelhouse: Path) -> Path:
    found = sorted(wheelhouse.glob("patchtide-*-py3-none-any.whl"))
    if len(found) != 1:
        sys.exit(f"build_deb: {wheelhouse} holds {len(found)} wheels of patchtide, not one")
    return found[0]


def version_of(wheel: Path) -> str:
    return wheel.name.split("-")[1]


def lay_out(tree: Path, *, wheelhouse: Path, version: str) -> None:
    """Put the package's files where they will lie on the machine."""
    home = tree / HOME
    site = home / f"lib/python{PYTHON}/site-packages"
    site.mkdir(parents=True)
    # Without an address or a path: what pip notes of where it took things from would differ.
    for what in (("--require-hashes", "--requirement", PINS), (f"patchtide=={version}",)):
        _pip(site, wheelhouse, *what)
        shutil.rmtree(site / "bin", ignore_errors=True)
    (home / "bin").mkdir()
    (home / "bin/python3").symlink_to(f"/usr/bin/python{PYTHON}")
    _put(
        home / "pyvenv.cfg",
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n",
    )
    _put(tree / "usr/bin/patchtide", (SOURCES / "patchtide").read_text(), mode=0o755)
    _put(
        tree / f"usr/lib/systemd/system/{NAME}.service",
        (SOURCES / f"{NAME}.service").read_text(),
    )
    for service in HELD:
        drop_in = tree / f"usr/lib/systemd/system/{service}.service.d/50-patchtide.conf"
        _put(drop_in, (SOURCES / "held.conf").read_text())
    _put(tree / f"usr/share/doc/{NAME}/copyright", (ROOT / "LICENSE").read_text())


def _pip(site: Path, wheelhouse: Path, *what: str | Path) -> None:
    command = [sys.executable, "-I", "-m", "pip", "install", "-qq", "--no-index", "--no-deps"]
    command += ["--no-compile", "--only-binary", ":all:", "--find-links", str(wheelhouse)]
    command += ["--disable-pip-version-check", "--root-user-action=ignore", "--target", str(site)]
    subprocess.run([*command, *map(str, what)], check=True)


def _put(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def build(tree: Path, *, version: str, output: Path) -> Path:
    """Return the package made of the tree."""
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    ).stdout.strip()
    version = f"{version}+py{PYTHON.replace('.', '')}"
    control = CONTROL.format(
        name=NAME,
        version=version,
        architecture=architecture,
        size=sum(path.stat().st_size for path in files(tree)) // 1024,
        python=PYTHON,
        next_python=NEXT_PYTHON,
        libc=".".join(map(str, libc_of(tree))),
    )
    sums = "".join(
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}"
        f"  {path.relative_to(tree)}\n"
        for path in files(tree)
    )
    _put(tree / "DEBIAN/control", control)
    _put(tree / "DEBIAN/md5sums", sums)
    for name in SCRIPTS:
        _put(tree / "DEBIAN" / name, (SOURCES / name).read_text(), mode=0o755)
    _make_plain(tree)
    output.mkdir(parents=True, exist_ok=True)
    made = output / f"{NAME}_{version}_{architecture}.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Zxz", "-z2", "--threads-max=1", "--build"]
    subprocess.run([*command, str(tree), str(made)], check=True, stdout=subprocess.DEVNULL)
    return made


def files(tree: Path) -> Iterator[Path]:
    """Yield the files of the package, in an order of their own."""
    yield from sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())


def libc_of(tree: Path) -> tuple[int, int]:
    """Return the oldest C library that every binary part runs with, as its wheel says."""
    oldest = [OLDEST_LIBC]
    for path in tree.rglob("*.dist-info/WHEEL"):
        said = re.findall(r"manylinux_(\d+)_(\d+)_", path.read_text())
        # A wheel may carry several tags: the lowest is a promise too.
        oldest += [min((int(major), int(minor)) for major, minor in said)] if said else []
    return max(oldest)


def _make_plain(tree: Path) -> None:
    """The builder's umask and clock leave no trace."""
    for path in (tree, *tree.rglob("*")):
        if path.is_symlink():
            os.utime(path, (int(EPOCH), int(EPOCH)), follow_symlinks=False)
            continue
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (int(EPOCH), int(EPOCH)))


if __name__ == "__main__":
    sys.exit(main())
