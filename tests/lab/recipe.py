"""How the image is made: Debian 12 as released, so that real security updates are pending.

It comes from the archives that this machine's own apt uses. What hosts are offered is frozen with
it: a mirror of the archives' signed indexes and of the packages that the pending updates need. So
a story needs no network, and tomorrow's security update changes nothing in it.

This file's text is the image's address (see `image`): a change here makes a new image.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from tests.lab.commands import LabError, run

RELEASE = "bookworm"
SUITES = (RELEASE, f"{RELEASE}-updates", f"{RELEASE}-security")
PYTHON = (3, 11)
"""What hosts have of their own."""

MIRROR = "10.231.0.1"
"""Where hosts find the mirror: the address of the laboratory's own bridge."""

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "iproute2", "iputils-ping"),  # a host that boots
    *("python3", "ca-certificates"),  # what the agent runs on
    *("openssl", "curl", "sudo", "nginx-light"),  # something to update
)
AGED = ("sudo", "curl", "libcurl4")
"""Of these the security suite may hold a version that the release has since moved past. The mirror
has that one too, so a host can be set back to it."""

QUIET_UNITS = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer")
"""They would change packages or lists in the middle of a story."""

FETCHING = """\
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
#clear Acquire::IndexTargets::deb::Contents-deb;
#clear Acquire::IndexTargets::deb::DEP-11;
Dir "{root}";
Dir::Log "{root}/var/log/apt";
Dir::State::status "{root}/var/lib/dpkg/status";
Dir::Etc::trustedparts "{root}/etc/apt/trusted.gpg.d";
APT::Keep-Downloaded-Packages "true";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::GzipIndexes "false";
Acquire::Languages "none";
"""
"""This machine's apt, with its proxies and accounts, works on the image's folders."""

IN_HOSTS = """\
Acquire::GzipIndexes "false";
Acquire::Languages "none";
Acquire::Retries "0";
Acquire::http::Timeout "5";
Dpkg::Use-Pty "0";
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archives:
    """Where this machine's apt finds Debian. Read at run time: no page or source names a host."""

    main: str
    security: str


def archives() -> Archives:
    """Return what this machine's apt knows of Debian's archives.

    Raises:
        LabError: apt has no source for them.
    """
    for refresh in (False, True):
        if refresh:
            run("apt-get", "update", "-qq")
        main, security = _source("Debian"), _source("Debian-Security")
        if main and security:
            return Archives(main=main, security=security)
    raise LabError("apt on this machine knows no Debian archive with its security archive")


def _source(label: str) -> str:
    only = ("Created-By: Packages", "Origin: Debian", f"Label: {label}", "Component: main")
    found = run("apt-get", "indextargets", "--format", "$(REPO_URI)", *only).splitlines()
    return found[0] if found else ""


def bootstrap(root: Path, found: Archives) -> None:
    """Install the release, and nothing that came after it."""
    run(
        *("mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(PACKAGES)}"),
        *("--dpkgopt=force-unsafe-io", RELEASE, str(root), f"deb {found.main} {RELEASE} main"),
    )


def fetch(root: Path, mirror: Path, found: Archives) -> None:
    """Fetch the indexes of all suites and the packages that are pending; give both the mirror."""
    _write_sources(root, main=found.main, security=found.security)
    settings = root.parent / "apt.conf"
    settings.write_text(FETCHING.format(root=root))
    apt = ("apt-get", f"--config-file={settings}", "-qq")
    run(*apt, "update")
    run(*apt, "dist-upgrade", "--assume-yes", "--download-only")
    aged = _moved_past(settings)
    (root.parent / "aged").write_text("\n".join(aged))
    for name in aged:
        run(*apt, "download", f"{name}/{RELEASE}-security", cwd=root / "var/cache/apt/archives")
    _keep_packages(root, mirror)
    _keep_lists(root, mirror)


def _moved_past(settings: Path) -> list[str]:
    """Return those of `AGED` whose newest version is the release's, not the security suite's."""
    cache = ("apt-cache", f"--config-file={settings}", "madison")
    known = {name: run(*cache, name).splitlines() for name in AGED}
    return [
        name
        for name, lines in known.items()
        if any("-security/" in line for line in lines) and "-security/" not in lines[0]
    ]


def _keep_packages(root: Path, mirror: Path) -> None:
    """Lay each package where the indexes say that it lies."""
    listings = [*(root / "var/lib/apt/lists").glob("*_Packages")]
    places = {Path(path).name: path for listing in listings for path in _paths(listing)}
    for package in (root / "var/cache/apt/archives").glob("*.deb"):
        name, version, rest = unquote(package.name).split("_")
        path = places[f"{name}_{version.rpartition(':')[2]}_{rest}"]
        for side in ("debian", "debian-security"):  # one of them names it
            _keep(package, mirror / side / path)


def _paths(listing: Path) -> list[str]:
    with listing.open() as lines:
        return [line.split()[1] for line in lines if line.startswith("Filename: ")]


def _keep_lists(root: Path, mirror: Path) -> None:
    """Give the indexes to the mirror too, and let the root believe it got them from there."""
    folder = root / "var/lib/apt/lists"
    for listing in [*folder.glob("*_InRelease"), *folder.glob("*_Packages")]:
        _, _, within = listing.name.partition("_dists_")
        side = "debian-security" if within.startswith(f"{RELEASE}-security") else "debian"
        _keep(listing, mirror / side / "dists" / within.replace("_", "/"))
        listing.rename(listing.with_name(f"{MIRROR}_{side}_dists_{within}"))
    address = f"http://{MIRROR}/debian"
    # The mirror is frozen: what its vendor says of how long it is good means nothing here.
    _write_sources(
        root, main=address, security=f"{address}-security", options="[check-valid-until=no] "
    )


def _keep(file: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    os.link(file, place)


def _write_sources(root: Path, *, main: str, security: str, options: str = "") -> None:
    homes = {suite: security if suite.endswith("-security") else main for suite in SUITES}
    lines = (f"deb {options}{address} {suite} main\n" for suite, address in homes.items())
    (root / "etc/apt/sources.list").write_text("".join(lines))


def settle(root: Path) -> None:
    """Leave the root as a machine that was installed and never booted, with warm apt caches."""
    (root / "etc/apt/apt.conf.d/99lab").write_text(IN_HOSTS)
    shutil.rmtree(root / "var/cache/apt")
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)
    for unit in QUIET_UNITS:
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("")
    run("chroot", str(root), "apt-cache", "gencaches")


def main() -> None:
    """`python -m tests.lab.recipe FOLDER`: put `root` and `mirror` there."""
    os.umask(0o022)
    folder = Path(sys.argv[1])
    found = archives()
    bootstrap(folder / "root", found)
    fetch(folder / "root", folder / "mirror", found)
    settle(folder / "root")


if __name__ == "__main__":
    main()
