"""A small signed apt repository, made with the platform's own tools. Nothing of it is imitated."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType

import pytest

TOOLS = ("dpkg-deb", "apt-ftparchive", "gpg", "gpgv", "apt-get")
needs_apt = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in TOOLS), reason="needs apt's tools and gpg"
)
_DATES = "%a, %d %b %Y %H:%M:%S UTC"


def tool(*command: str | Path, cwd: Path | None = None, stdin: bytes = b"") -> bytes:
    """Run a tool that must succeed; return what it printed."""
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, input=stdin, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class SigningKey:
    """A vendor's key. Its folder has a short path, for gpg's socket goes there."""

    def __init__(self, name: str) -> None:
        self._home = Path(mkdtemp(prefix="pt-gpg-"))
        words = ("--passphrase", "", "--quick-generate-key", f"{name} <{name}@invalid>")
        self._gpg(*words, "ed25519", "sign", "never")
        listed = self._gpg("--list-keys", "--with-colons").decode().splitlines()
        self.fingerprint = next(row for row in listed if row.startswith("fpr")).split(":")[9]

    def __enter__(self) -> SigningKey:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        tool("gpgconf", "--homedir", self._home, "--kill", "gpg-agent")
        # The agent takes its sockets away while it ends.
        shutil.rmtree(self._home, ignore_errors=True)

    def _gpg(self, *words: str, stdin: bytes = b"") -> bytes:
        return tool("gpg", "--homedir", self._home, "--batch", "--quiet", *words, stdin=stdin)

    def keyring(self, path: Path) -> Path:
        path.write_bytes(self._gpg("--export", *(["--armor"] if path.suffix == ".asc" else [])))
        return path

    def armoured(self) -> str:
        return self._gpg("--export", "--armor").decode()

    def sign(self, text: bytes) -> bytes:
        return self._gpg("--clearsign", "--output", "-", stdin=text)

    def sign_apart(self, text: bytes) -> bytes:
        return self._gpg("--armor", "--detach-sign", "--output", "-", stdin=text)


@dataclass(kw_only=True)
class AptRepository:
    """Suites under one folder. Fill them with `add`, then `publish` each."""

    folder: Path
    key: SigningKey
    origin: str = "Debian"
    architecture: str = "amd64"
    _made: int = field(default=0, init=False)

    @property
    def uri(self) -> str:
        return f"file:{self.folder}"

    def add(
        self, suite: str, name: str, version: str, *, source: str = "", changelog: str = ""
    ) -> Path:
        """Build a package into the suite's pool."""
        pool = self.folder / "pool" / suite
        pool.mkdir(parents=True, exist_ok=True)
        self._made += 1
        build = self.folder / f"build-{self._made}"
        control = build / "DEBIAN/control"
        control.parent.mkdir(parents=True)
        lines = [f"Package: {name}", f"Version: {version}", "Architecture: all"]
        lines += [f"Source: {source}"] if source else []
        lines += ["Maintainer: Toys <toys@invalid>", f"Description: {name} for tests"]
        control.write_text("\n".join(lines) + "\n")
        if changelog:
            document = build / "usr/share/doc" / name / "changelog.Debian.gz"
            document.parent.mkdir(parents=True)
            document.write_bytes(gzip.compress(changelog.encode()))
        made = pool / f"{name}_{version.replace(':', '%3a')}_all.deb"
        tool("dpkg-deb", "--root-owner-group", "--build", build, made)
        shutil.rmtree(build)
        return made

    def publish(
        self,
        suite: str,
        *,
        label: str = "Debian",
        version: str = "12",
        lives: timedelta | None = timedelta(days=7),
        **more: str,
    ) -> Path:
        """Write and sign the suite's indices; return its InRelease."""
        dists, pool = self.folder / "dists" / suite, f"pool/{suite}"
        indices = dists / f"main/binary-{self.architecture}"
        indices.mkdir(parents=True, exist_ok=True)
        (self.folder / pool).mkdir(parents=True, exist_ok=True)
        packages = tool("apt-ftparchive", "packages", pool, cwd=self.folder)
        (indices / "Packages").write_bytes(packages)
        (dists / "InRelease").unlink(missing_ok=True)
        now = datetime.now(UTC)
        fields = {
            "Origin": self.origin, "Label": label, "Suite": suite, "Codename": suite,
            "Version": version, "Architectures": self.architecture, "Components": "main",
            "Date": (now - timedelta(minutes=1)).strftime(_DATES), **more,
        }  # fmt: skip
        if lives is not None:
            fields["Valid-Until"] = (now + lives).strftime(_DATES)
        release = "".join(f"{name}: {value}\n" for name, value in fields.items()).encode()
        listed = tool("apt-ftparchive", "release", dists).decode()
        # apt-ftparchive dates what it writes; the hashes are what is wanted of it.
        hashes = listed[listed.index("SHA256:") :].split("\nSHA512:")[0].rstrip("\n") + "\n"
        (dists / "InRelease").write_bytes(self.key.sign(release + hashes.encode()))
        for name in ("Release", "Release.gpg"):
            (dists / name).unlink(missing_ok=True)
        return dists / "InRelease"

    def sign_apart(self, suite: str) -> Path:
        """Put the older pair, Release and Release.gpg, in the place of a suite's InRelease."""
        one = self.folder / "dists" / suite / "InRelease"
        signed = one.read_text().split("\n\n", 1)[1].split("-----BEGIN PGP SIGNATURE")[0]
        text = signed.rstrip("\n").encode() + b"\n"
        one.with_name("Release").write_bytes(text)
        one.with_name("Release.gpg").write_bytes(self.key.sign_apart(text))
        one.unlink()
        return one.with_name("Release")


def apt_folder(folder: Path, *lines: str, stanzas: str = "") -> Path:
    """Return a folder like /etc/apt with these sources."""
    parts = folder / "sources.list.d"
    for made in (parts, folder / "trusted.gpg.d", folder / "preferences.d"):
        made.mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text("".join(f"{line}\n" for line in lines))
    (parts / "more.sources").write_text(stanzas)
    return folder
