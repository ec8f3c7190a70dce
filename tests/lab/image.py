"""The image that hosts boot from: built once on a machine, then lent to whoever asks.

`PATCHTIDE_LAB` names the folder in which images are kept. An image is found by what it was made
from, and looked over before it is lent: hosts only ever write to layers of their own.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.lab import recipe
from tests.lab.commands import ROOT, LabError, die_with_parent, module

TOOLS = ("mmdebstrap", "systemd-nspawn", "ip", "unshare", "nsenter")
DEFAULT_HOME = Path("/var/cache/patchtide-lab")
UNUSED_S = 3 * 86_400
"""Trees with other recipes may be tested on the same machine."""

_SEAL = "seal"
_BUILD_LIMIT_S = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What hosts share: a root, and the archives' frozen state beside it."""

    root: Path
    mirror: Path
    place: Path
    """An empty folder: hosts mount their own files there, each for itself."""
    aged: Path
    """Lists the packages of which the mirror has a version that the release has moved past."""
    built_in_s: float
    """How long it took, whenever that was."""


def home(environment: Mapping[str, str] = os.environ) -> Path:
    return Path(environment.get("PATCHTIDE_LAB") or DEFAULT_HOME)


def missing() -> str:
    """Say why there can be no laboratory here; empty when there can."""
    if os.geteuid() != 0:
        return "a laboratory needs root"
    if sys.base_prefix == "/usr" and sys.version_info[:2] != recipe.PYTHON:
        return "a laboratory's hosts cannot run this machine's Python"
    tools = [tool for tool in TOOLS if shutil.which(tool) is None]
    if tools:
        return f"a laboratory needs {', '.join(tools)}"
    probe = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "true"], capture_output=True, check=False
    )
    return "a laboratory needs namespaces of its own" if probe.returncode else ""


@contextmanager
def image(images: Path, *, make: Callable[[Path], None] | None = None) -> Iterator[Image]:
    """Lend the image, building it first if none is there that is whole.

    `make` puts `root` and `mirror` into a folder; by default it follows the recipe.

    Raises:
        LabError: it cannot be built.
    """
    images.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder = images / sha256(Path(recipe.__file__).read_bytes()).hexdigest()[:16]
    with ExitStack() as lent:
        with _locked(images / "lock", fcntl.LOCK_EX):
            if not _is_whole(folder):
                _build(images, folder, make or follow_recipe)
            (folder / "lock").touch()
            _drop_unused(images)
            lent.enter_context(_locked(folder / "lock", fcntl.LOCK_SH))
        yield Image(
            root=folder / "root",
            mirror=folder / "mirror",
            place=folder / "place",
            aged=folder / "aged",
            built_in_s=float((folder / _SEAL).read_text().split()[1]),
        )


def _is_whole(folder: Path) -> bool:
    seal = folder / _SEAL
    return seal.exists() and seal.read_text().split()[0] == _contents(folder)


def _contents(folder: Path) -> str:
    """Return a digest of every file's name, mode, size and time: read in a tenth of a second."""
    digest = sha256()
    for top in ("root", "mirror"):
        for place, folders, files in os.walk(folder / top):
            folders.sort()
            for name in sorted(files):
                path = f"{place}/{name}"
                found = os.lstat(path)
                said = (path[len(str(folder)) :], found.st_mode, found.st_size, found.st_mtime_ns)
                digest.update(repr(said).encode())
    return digest.hexdigest()


@contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    with path.open("a") as lock:
        fcntl.flock(lock, kind)
        yield


def _drop_unused(images: Path) -> None:
    """Remove what a build left half-made, and images that nobody has used of late."""
    for folder in (path for path in images.iterdir() if path.is_dir()):
        used = folder / "lock"
        if used.exists() and time.time() - used.stat().st_mtime < UNUSED_S:
            continue
        try:
            with _locked(used, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(folder)
        except BlockingIOError:
            continue


def _build(images: Path, folder: Path, make: Callable[[Path], None]) -> None:
    """Build beside, so that what stands under the image's own name is whole."""
    shutil.rmtree(folder, ignore_errors=True)
    made = images / f"building-{os.getpid()}"
    shutil.rmtree(made, ignore_errors=True)
    (made / "place").mkdir(parents=True)
    made.chmod(0o755)
    started = time.monotonic()
    make(made)
    (made / _SEAL).write_text(f"{_contents(made)} {time.monotonic() - started:.1f}\n")
    made.rename(folder)


def follow_recipe(folder: Path) -> None:
    """Build in namespaces of its own: no mount and no process outlives a killed build.

    Raises:
        LabError: it cannot be built.
    """
    apart = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    try:
        subprocess.run(
            [*apart, *module("recipe", str(folder))],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=_BUILD_LIMIT_S,
            cwd=ROOT,
            preexec_fn=die_with_parent,
        )
    except subprocess.CalledProcessError as error:
        raise LabError(f"the image cannot be built: {error.stderr[-2000:]}") from error
