"""Signed RPM repositories with advisories and modules, made with the platform's own tools."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest

from tests.simulator.apt_repository import SigningKey, tool

TOOLS = ("rpmbuild", "createrepo_c", "modifyrepo_c", "gpg", "gpgv")
needs_rpm = pytest.mark.skipif(
    not all(shutil.which(name) for name in TOOLS), reason="needs rpm's tools, createrepo_c and gpg"
)
DATE = "2026-03-02 12:00:00"


@dataclass(frozen=True, slots=True)
class Rpm:
    """A package in one version. `evr` is `[epoch:]version-release`."""

    name: str
    evr: str
    architecture: str = "x86_64"
    provides: tuple[str, ...] = ()
    module: str = ""
    """The module that it says it belongs to: `name:stream:version:context`."""

    @property
    def epoch(self) -> str:
        return self.evr.partition(":")[0] if ":" in self.evr else "0"

    @property
    def version(self) -> str:
        return self.evr.rpartition(":")[2].rpartition("-")[0]

    @property
    def release(self) -> str:
        return self.evr.rpartition("-")[2]

    @property
    def nevra(self) -> str:
        return f"{self.name}-{self.epoch}:{self.version}-{self.release}.{self.architecture}"

    @property
    def source(self) -> str:
        return f"{self.name}-{self.version}-{self.release}.src.rpm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An advisory. `packages` are told without a module, `modular` with theirs."""

    id: str
    packages: tuple[Rpm, ...] = ()
    modular: tuple[tuple[str, str, tuple[Rpm, ...]], ...] = ()
    """(module, stream, packages)"""
    kind: str = "security"
    severity: str = "Important"
    title: str = "a fix"
    description: str = "What was wrong."
    cves: tuple[str, ...] = ("CVE-2026-12345",)
    updated: str = DATE
    restart: bool = False


def advisory(told: Told) -> str:
    references = "".join(
        f'<reference href="https://example.invalid/{cve}" id="{cve}" type="cve" title="{cve}"/>'
        for cve in told.cves
    )
    collections = _collection("", told.packages, told.restart) if told.packages else ""
    for name, stream, packages in told.modular:
        module = (
            f'<module name="{name}" stream="{stream}" version="1" context="c0ffee" arch="x86_64"/>'
        )
        collections += _collection(module, packages, told.restart)
    return (
        f'<update from="vendor@invalid" status="final" type={quoteattr(told.kind)} version="1">'
        f"<id>{told.id}</id><title>{escape(told.title)}</title><issued date={quoteattr(DATE)}/>"
        f"<updated date={quoteattr(told.updated)}/><rights>none</rights><release>9</release>"
        f"<severity>{told.severity}</severity><summary>sum</summary>"
        f"<description>{escape(told.description)}</description><references>{references}</references>"
        f"<pkglist>{collections}</pkglist></update>"
    )


def _collection(module: str, packages: Sequence[Rpm], restart: bool) -> str:
    rows = "".join(
        f'<package name="{p.name}" version="{p.version}" release="{p.release}" epoch="{p.epoch}"'
        f' arch="{p.architecture}" src="{p.source}">'
        f"<filename>{p.name}-{p.version}-{p.release}.{p.architecture}.rpm</filename>"
        f"{'<reboot_suggested>True</reboot_suggested>' if restart else ''}</package>"
        for p in packages
    )
    return f'<collection short="c"><name>c</name>{module}{rows}</collection>'


def updateinfo(advisories: Iterable[Told]) -> str:
    body = "\n".join(map(advisory, advisories))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<updates>\n{body}\n</updates>\n'


def module_documents(streams: Iterable[tuple[str, str, Sequence[Rpm]]]) -> str:
    """Return modules.yaml: each stream of a module with its packages."""
    return "".join(
        f"---\ndocument: modulemd\nversion: 2\ndata:\n  name: {name}\n  stream: '{stream}'\n"
        "  version: 1\n  context: c0ffee\n  arch: x86_64\n  summary: a module\n"
        "  description: a module\n  license:\n    module: [MIT]\n  artifacts:\n    rpms:\n"
        + "".join(f"    - {package.nevra}\n" for package in packages)
        + "...\n"
        for name, stream, packages in streams
    )


def build(group: Sequence[Rpm], folder: Path, *, top: Path) -> list[Path]:
    """Build packages that share version and architecture; return their files.

    One source package with a subpackage for each, which cost next to nothing.
    """
    top.mkdir(parents=True)
    first = group[0]
    lines = [
        f"Name: {top.name}", f"Version: {first.version}", f"Release: {first.release}",
        f"Epoch: {first.epoch}", "Summary: toys", "License: MIT", "%description", "toys",
    ]  # fmt: skip
    for package in group:
        lines += [f"%package -n {package.name}", "Summary: a toy"]
        lines += [f"Provides: {each}" for each in package.provides]
        lines += [f"ModularityLabel: {package.module}"] if package.module else []
        lines += [f"%description -n {package.name}", "a toy", f"%files -n {package.name}"]
    spec = top / "made.spec"
    spec.write_text("\n".join(lines) + "\n")
    tool(
        "rpmbuild", "-bb", "--quiet", f"--target={first.architecture}", f"-D_topdir {top}",
        "-D_build_id_links none", f"-D_rpmdir {top / 'out'}", "-D_binary_payload w0.ufdio",
        spec,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    made = [path.replace(folder / path.name) for path in (top / "out").rglob("*.rpm")]
    shutil.rmtree(top)
    return made


def default_documents(streams: Mapping[str, str]) -> str:
    """Return the rest of modules.yaml: the stream that dnf takes where none was chosen."""
    return "".join(
        f"---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: {name}\n"
        f"  stream: '{stream}'\n...\n"
        for name, stream in streams.items()
    )


@dataclass(kw_only=True)
class RpmRepository:
    """One repository under a folder. Fill it, then `publish`."""

    folder: Path
    key: SigningKey
    advisories: list[Told] = field(default_factory=list)
    modules: list[tuple[str, str, Sequence[Rpm]]] = field(default_factory=list)
    default_streams: dict[str, str] = field(default_factory=dict)
    _made: int = field(default=0, init=False)

    @property
    def repodata(self) -> Path:
        return self.folder / "repodata"

    @property
    def uri(self) -> str:
        return f"file://{self.folder}"

    def path(self, package: Rpm) -> Path:
        name = f"{package.name}-{package.version}-{package.release}.{package.architecture}.rpm"
        return next(self.folder.parent.glob(f"*/Packages/{name}"))

    def withdraw(self, *packages: Rpm) -> None:
        """Take them out again; they stay beside the repository, to be installed."""
        aside = self.folder.with_name(f"{self.folder.name}-aside") / "Packages"
        aside.mkdir(parents=True, exist_ok=True)
        for package in packages:
            path = self.path(package)
            path.rename(aside / path.name)

    def add(self, *packages: Rpm) -> None:
        """Build packages, all that share a release with one run of rpmbuild."""
        groups: dict[tuple[str, str], list[Rpm]] = {}
        for package in packages:
            groups.setdefault((package.evr, package.architecture), []).append(package)
        for group in groups.values():
            self._made += 1
            top = self.folder.with_name(f"{self.folder.name}-build-{self._made}")
            build(group, self.folder / "Packages", top=top)

    def publish(self, *options: str, compressed: str = "gz") -> None:
        """Write and sign the repository's documents."""
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.repodata, ignore_errors=True)
        words = ("--quiet", "--no-database", f"--general-compress-type={compressed}", *options)
        tool("createrepo_c", *words, self.folder)
        if self.advisories:
            self._attach("updateinfo", "updateinfo.xml", updateinfo(self.advisories), compressed)
        if self.modules:
            told = module_documents(self.modules) + default_documents(self.default_streams)
            self._attach("modules", "modules.yaml", told, compressed)
        self.sign()

    def sign(self, key: SigningKey | None = None) -> None:
        document = self.repodata / "repomd.xml"
        signature = (key or self.key).sign_apart(document.read_bytes())
        document.with_name("repomd.xml.asc").write_bytes(signature)

    def data(self, kind: str) -> Path:
        """Return one of its documents."""
        (found,) = self.repodata.glob(f"*{kind}.xml*")
        return found

    def put(self, kind: str, packed: bytes, ending: str, *, open_size: int | None = None) -> None:
        """Have the index name another document, rightly hashed and signed, whatever is in it."""
        before, document = self.data(kind), self.repodata / "repomd.xml"
        new = before.with_name(f"{kind}.xml{ending}")
        text = document.read_text()
        start = text.index(f'<data type="{kind}">')
        row = text[start : text.index("</data>", start)]
        size = "" if open_size is None else f"<open-size>{open_size}</open-size>"
        made = (
            f'<data type="{kind}"><checksum type="sha256">{sha256(packed).hexdigest()}</checksum>'
            f'<location href="repodata/{new.name}"/><size>{len(packed)}</size>{size}'
        )
        document.write_text(text.replace(row, made))
        before.unlink()
        new.write_bytes(packed)
        self.sign()

    def edit_index(self, old: str, new: str) -> None:
        """Change the index, and sign it."""
        document = self.repodata / "repomd.xml"
        text = document.read_text()
        assert old in text
        document.write_text(text.replace(old, new))
        self.sign()

    def _attach(self, kind: str, name: str, text: str, compressed: str) -> None:
        document = self.folder / name
        document.write_text(text)
        tool(
            "modifyrepo_c", f"--mdtype={kind}", "--compress", f"--compress-type={compressed}",
            document, self.repodata,
        )  # fmt: skip
        document.unlink()


@dataclass(kw_only=True)
class RpmSystem:
    """A folder like an Enterprise Linux system's root as far as dnf looks for repositories."""

    root: Path

    def __post_init__(self) -> None:
        for name in ("etc/yum.repos.d", "etc/dnf/vars", "etc/pki/rpm-gpg"):
            (self.root / name).mkdir(parents=True)
        lines = ('NAME="Toy Linux"', 'ID="toylinux"', 'VERSION_ID="9.4"', 'ID_LIKE="rhel fedora"')
        (self.root / "etc/os-release").write_text("\n".join(lines) + "\n")
        (self.root / "etc/dnf/vars/basearch").write_text("x86_64\n")

    def source(
        self, name: str, address: str, key: SigningKey | None = None, **options: str
    ) -> None:
        said = {"baseurl": address, "enabled": "1", "gpgcheck": "1"}
        if key is not None:
            path = self.root / "etc/pki/rpm-gpg/RPM-GPG-KEY-toys"
            path.write_text(key.armoured())
            said |= {"repo_gpgcheck": "1", "gpgkey": "file:///etc/pki/rpm-gpg/RPM-GPG-KEY-toys"}
        said |= options
        text = f"[{name}]\nname={name}\n" + "".join(f"{k}={v}\n" for k, v in said.items())
        (self.root / f"etc/yum.repos.d/{name}.repo").write_text(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class RpmMachine:
    """What is installed on a machine, and the streams that it follows."""

    packages: tuple[Rpm, ...]
    modules: tuple[tuple[str, str], ...] = ()


def required_by_dnf(
    folder: Path, repository: RpmRepository, machines: Sequence[RpmMachine], *, kept: int = 0
) -> list[list[str]]:
    """Return the advisories that dnf itself finds a machine to lack, for each machine.

    The roots of the first ones are kept: `folder/root-0` and so on.
    """
    asked = {
        "folder": str(folder),
        "repository": str(repository.folder),
        "kept": kept,
        "machines": [
            {
                "packages": [str(repository.path(package)) for package in machine.packages],
                "modules": dict(machine.modules),
            }
            for machine in machines
        ],
    }
    folder.mkdir()
    judge = Path(__file__).with_name("dnf_judge.py")
    answer: list[list[str]] = json.loads(
        tool("/usr/bin/python3", "-I", judge, stdin=json.dumps(asked).encode())
    )
    return answer
