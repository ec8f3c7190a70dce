"""This machine's own system as a root that can be changed and thrown away.

An overlay in a mount namespace of its own: what is installed in it is nowhere else, and the kernel
takes all of it back when the process that holds the namespace ends. The network is the machine's.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MOUNT = """
set -eu
mount -t tmpfs -o mode=0755 patchtide-test "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" patchtide-test "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
rm -rf "$1/root/run/systemd" "$1/root/var/lib/patchtide"
echo mounted
exec sleep 600
"""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class ThrowawayRoot:
    def __init__(self, holder: int, folder: Path) -> None:
        self._holder = holder
        self._root = folder / "root"

    def run(self, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command as root in there."""
        inside = ["nsenter", f"--mount=/proc/{self._holder}/ns/mnt", "chroot", str(self._root)]
        return subprocess.run(
            [*inside, *command],
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=ENVIRONMENT,
            cwd="/",
        )

    def put(self, source: Path, place: str) -> None:
        """Copy a file of this machine's to a place in there."""
        done = self.run(
            "install", "-D", f"--mode={source.stat().st_mode & 0o777:o}", str(source), place
        )
        if done.returncode:
            raise AssertionError(done.stderr)


def can_be_made() -> bool:
    return os.geteuid() == 0 and "overlay" in Path("/proc/filesystems").read_text()


@contextmanager
def throwaway_root(folder: Path) -> Iterator[ThrowawayRoot]:
    folder.mkdir()
    command = ["unshare", "--mount", "--propagation=private", "sh", "-c", _MOUNT, "sh", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            said = holder.stdout.readline() if holder.stdout else ""
            if said != "mounted\n":
                raise AssertionError("no root could be mounted")
            yield ThrowawayRoot(holder.pid, folder)
        finally:
            holder.kill()
