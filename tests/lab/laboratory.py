"""A laboratory: booted Debian hosts with real pending security updates, on a network of their own.

    with lab() as here:
        host = here.host("a")
        host.run("apt-get", "--simulate", "dist-upgrade")
        host.restart()

Everything ends with the block, and with the process that entered it, however that ends.
"""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest

from tests.lab import cgroups
from tests.lab.commands import ROOT
from tests.lab.host import Host
from tests.lab.image import Image, home, image, missing
from tests.lab.keeper import Asked
from tests.lab.network import Network
from tests.lab.recipe import PYTHON

needs_lab = [pytest.mark.root, pytest.mark.skipif(bool(missing()), reason=missing())]
MEMORY_MIB = 2048
WATCHES = Path("/proc/sys/fs/inotify/max_user_instances")
_ENOUGH_WATCHES = 4096
_SOURCES, _LIBRARIES = "/opt/patchtide/sources", "/opt/patchtide/libraries"


class Lab:
    """Hosts, and the bridge between them."""

    def __init__(self, lent: Image, network: Network, ending: ExitStack) -> None:
        self.image = lent
        self.network = network
        self._ending = ending
        self._hosts: dict[str, Host] = {}

    def host(
        self,
        name: str,
        *,
        binds: Mapping[str, str] = MappingProxyType({}),
        files: Mapping[str, str] = MappingProxyType({}),
    ) -> Host:
        """Return a new host, booting. `binds`: folder here -> folder there, read-only.

        It knows those that were there before it as `NAME.lab`.
        """
        allow_watches()
        known = "".join(f"{h.line.address} {n}.lab\n" for n, h in self._hosts.items())
        asked = Asked(
            host=name,
            group=f"{os.getpid()}-{name}",
            lower=str(self.image.root),
            place=str(self.image.place),
            memory_mib=MEMORY_MIB,
            binds={**_agent_folders(), **binds},
            files={**_first_files(name, known), **files},
        )
        console = self.image.place / "console"
        made = Host(name, asked=msgspec.json.encode(asked), console=console)
        self._ending.callback(made.end)
        made.connect(self.network, len(self._hosts) + 1)
        self._ending.callback(made.line.end)
        self._hosts[name] = made
        return made


@contextmanager
def lab() -> Iterator[Lab]:
    """Open a laboratory; the first one on a machine takes a minute to build its image.

    Raises:
        LabError: this machine cannot have one.
    """
    cgroups.sweep()
    with image(home()) as lent, Network(lent.mirror) as network, ExitStack() as ending:
        yield Lab(lent, network, ending)


def allow_watches() -> None:
    """Let root's processes watch files from more places at once.

    A host's systemd takes eight, and all that root runs on a machine share what Debian allows: 128.
    Where they are used up, a boot waits for what it never hears of.
    """
    if int(WATCHES.read_text()) < _ENOUGH_WATCHES:
        with contextlib.suppress(OSError):  # then a host that lacks them says so on its console
            WATCHES.write_text(f"{_ENOUGH_WATCHES}\n")


def _agent_folders() -> dict[str, str]:
    """The tree under test, and what it runs on; a Python of the system's is each host's own."""
    libraries = sysconfig.get_path("purelib")
    folders = {str(ROOT / "src"): _SOURCES, libraries: _LIBRARIES}
    return folders if sys.base_prefix == "/usr" else {**folders, sys.base_prefix: sys.base_prefix}


def _first_files(name: str, known: str) -> dict[str, str]:
    return {
        "/etc/hostname": f"{name}\n",
        "/etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {name}\n{known}",
        "/usr/local/bin/patchtide": command_file("patchtide.entry.cli"),
    }


def command_file(module: str, *folders: str) -> str:
    """Return the text of a command that runs a module of the tree under test, or of `folders`."""
    version = PYTHON if sys.base_prefix == "/usr" else sys.version_info[:2]
    python = Path(sys.base_prefix) / "bin/python{}.{}".format(*version)
    path = ":".join((*folders, _SOURCES, _LIBRARIES))
    exports = f"export PYTHONPATH={path} PYTHONPYCACHEPREFIX=/var/cache/patchtide"
    return f'#!/bin/sh\n{exports}\nexec "{python}" -P -m {module} "$@"\n'
