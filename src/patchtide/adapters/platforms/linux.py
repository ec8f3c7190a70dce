"""What a Linux system says of itself in files under its root: booted, a chroot or an image.

A file that is not there is a fact not collected. A link that leads out of the root is not
followed: it would tell of the machine that looks, not of the one that is looked at.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

from patchtide.domain.catalog.systems import shard_of

NOT_BOOTED = "not-booted"
_OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
_LOCALES = ("etc/locale.conf", "etc/default/locale")
_SLICES = ("*.slice", "*.slice/*.slice")
_TEMPORARY = 0x01
"""The kernel's mark on addresses that it makes anew every day."""
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,40}(/[A-Za-z0-9_+-]{1,40}){0,2}")
_LOCAL = re.compile(r"\|--\s+([0-9.]+)\n(?:(?!.*\|--).*\n)*?\s+/32 host LOCAL")
_IMAGE = re.compile(r"linux-image-(?P<release>\d.*)")
_KERNEL = re.compile(r"(?P<version>\d[^-]*(?:-\d+)?)-(?P<flavour>[a-z].*)")
_BOOTED = re.compile(r"^btime (\d+)$", re.MULTILINE)
_DEBIAN = re.compile(r"\bDebian (\d\S*) \(\d{4}-")


class System:
    """The files of a system under a root."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def text(self, name: str) -> str | None:
        """Return a file's text; None: it is not there, or leads out of the root."""
        path = self._inside(name)
        if path is None:
            return None
        try:
            return path.read_text("utf-8", "replace")
        except OSError:
            return None

    def exists(self, name: str) -> bool:
        """Say whether something is there; what leads out of the root is not."""
        path = self._inside(name)
        return path is not None and path.exists()

    def _inside(self, name: str) -> Path | None:
        try:
            path = (self._root / name).resolve()
        except (OSError, RuntimeError):  # links in a circle; which of both depends on Python
            return None
        return path if path.is_relative_to(self._root) else None

    def names(self, folder: str) -> Sequence[str]:
        """Return what a folder holds; nothing where it cannot be looked into."""
        inside = self._inside(folder)
        try:
            return sorted(path.name for path in inside.iterdir()) if inside else []
        except OSError:
            return []

    def os_release(self) -> Mapping[str, str]:
        found = (text for name in _OS_RELEASE if (text := self.text(name)) is not None)
        return dict(_assignments(next(found, "")))

    def release(self) -> str:
        """Return what the system is called, as `debian-12`; empty: it does not say."""
        said = self.os_release()
        if not said.get("ID") or not said.get("VERSION_ID"):
            return said.get("ID", "")
        return shard_of(said["ID"], said["VERSION_ID"], said.get("ID_LIKE", "").split())

    def boot_id(self) -> str:
        return (self.text("proc/sys/kernel/random/boot_id") or NOT_BOOTED).strip()

    def booted_at(self) -> int | None:
        """Return when the machine came up, in seconds of the epoch; None: nothing runs here.

        The later of two: a container's first process is younger than its host's kernel, and a
        machine without a clock of its own starts in 1970.
        """
        said = [int(text) for text in _BOOTED.findall(self.text("proc/stat") or "")]
        first = self._inside("proc/1")
        if first is not None and first.exists():
            said.append(int(first.stat().st_mtime))
        return max(said, default=None)

    def kernel(self) -> str:
        return (self.text("proc/sys/kernel/osrelease") or "").strip()

    def host_name(self) -> str:
        said = self.text("proc/sys/kernel/hostname") or self.text("etc/hostname") or ""
        return said.strip()

    def model(self) -> str:
        return (self.text("sys/class/dmi/id/product_name") or "").strip()

    def processors(self) -> int:
        return len(re.findall(r"^processor\s*:", self.text("proc/cpuinfo") or "", re.MULTILINE))

    def memory_bytes(self) -> int:
        found = re.search(r"^MemTotal:\s+(\d+) kB", self.text("proc/meminfo") or "", re.MULTILINE)
        # Whole MiB: what the kernel keeps for itself is a little more or less at each start.
        return int(found[1]) // 1024 << 20 if found else 0

    def addresses(self) -> tuple[str, ...]:
        """Return the lasting addresses by which others may know the machine, in a fixed order."""
        said = {*_LOCAL.findall(self.text("proc/net/fib_trie") or "")}
        said.update(_version_6(self.text("proc/net/if_inet6") or ""))
        found = (ip_address(text) for text in said)
        lasting = (a for a in found if not (a.is_loopback or a.is_link_local))
        return tuple(str(a) for a in sorted(lasting, key=lambda a: (a.version, int(a))))

    def services(self) -> tuple[str, ...]:
        """Return the services that start with the machine."""
        folder = self._inside("etc/systemd/system")
        wanted = folder.glob("*.wants") if folder else ()
        inside = (f for each in wanted if (f := self._inside(str(each))) is not None)
        found = (path for each in inside for path in each.glob("*.service"))
        return tuple(sorted({path.name.removesuffix(".service") for path in found}))

    def slices(self, folder: str) -> Sequence[str]:
        """Return the control groups in which services may be, two deep below this folder."""
        inside = self._inside(folder)
        found = [p for pattern in _SLICES for p in inside.glob(pattern)] if inside else []
        return [str(path.relative_to(self._root)) for path in found]

    def time_zone(self) -> str:
        """Return the zone of its clock on the wall, as `Europe/Berlin`; empty: it does not say."""
        folder = self._inside("etc")
        try:
            target = str((folder / "localtime").readlink()) if folder else ""
        except OSError:  # a copy of the zone's rules does not say whose they are
            target = ""
        _, is_named, name = target.partition("zoneinfo/")
        name = name if is_named else (self.text("etc/timezone") or "").strip()
        return name if _ZONE.fullmatch(name) else ""

    def language(self) -> str | None:
        """Return the language that the system speaks, as `de-CH`; None: it does not say."""
        said = (dict(_assignments(self.text(name) or "")).get("LANG") for name in _LOCALES)
        name = next((text for text in said if text), None)
        if name is None:
            return None
        tag = re.split(r"[.@]", name)[0].replace("_", "-")
        return "en" if tag in ("C", "POSIX") else tag

    def restart_pending(self, packages: Mapping[str, str]) -> bool:
        """Say whether the machine runs what has been replaced. `packages`: name -> version."""
        if self.exists("run/reboot-required"):
            return True
        if self.exists("run/systemd/container"):
            return False
        return kernel_is_old(self.kernel(), self.text("proc/version") or "", packages)


def kernel_is_old(release: str, version: str, packages: Mapping[str, str]) -> bool:
    """Say whether another kernel of the running one's kind would come up at the next start.

    A kernel that no package brought is nobody's to judge.
    """
    running, own = _KERNEL.fullmatch(release), packages.get(f"linux-image-{release}")
    if running is None or own is None:
        return False
    built = _DEBIAN.search(version)
    if built and built[1] != own:
        return True
    return any(
        _order(other["version"]) > _order(running["version"])
        for other in _kernels(packages)
        if other["flavour"] == running["flavour"]
    )


def _kernels(packages: Iterable[str]) -> Iterable[re.Match[str]]:
    images = (_IMAGE.fullmatch(name) for name in packages)
    found = (_KERNEL.fullmatch(image["release"]) for image in images if image)
    return (kernel for kernel in found if kernel)


def _order(version: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", version)]


def _assignments(text: str) -> Iterable[tuple[str, str]]:
    for line in text.split("\n"):
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            try:
                yield name, "".join(shlex.split(value))
            except ValueError:
                continue  # a quotation without an end: not a value


def _version_6(text: str) -> Iterable[str]:
    for line in text.split("\n"):
        fields = line.split()
        if len(fields) == 6 and not int(fields[4], 16) & _TEMPORARY:
            digits = fields[0]
            yield ":".join(digits[at : at + 4] for at in range(0, 32, 4))
