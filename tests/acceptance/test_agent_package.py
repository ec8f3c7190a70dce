"""The agent's Debian package: built alike everywhere, installed, enrolled, at work, and gone again.

Installed for real, by dpkg, in an overlay of this machine that is thrown away.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from patchtide.adapters.platforms.taken_over import CONDITION, DROP_IN, MARK, SERVICES
from tests.simulator.agent_command import a_leaf
from tests.simulator.agent_package import INSTALLER, ROOT, build, call
from tests.simulator.site_server import Site, running
from tests.simulator.throwaway_root import ThrowawayRoot, can_be_made, throwaway_root

PARTS = ("src", "packaging", "requirements", "pyproject.toml", "README.md", "LICENSE")
SYSTEM_PYTHON = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
STATE = "/var/lib/patchtide/agent"
UNIT = "/usr/lib/systemd/system/patchtide-agent.service"

pytestmark = [
    pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg"),
    pytest.mark.timeout(600),
]
needs_root = pytest.mark.skipif(
    not can_be_made() or not SYSTEM_PYTHON.exists(),
    reason=f"needs root, overlays and {SYSTEM_PYTHON}",
)


def copy_of_the_sources(folder: Path) -> Path:
    """Return them in another place, as somebody else's checkout has them."""
    folder.mkdir()
    for name in PARTS:
        place = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        place(ROOT / name, folder / name)
    return folder


def test_somewhere_else_by_somebody_else_the_same_bytes_are_built(
    package: Path, libraries: Path, tmp_path: Path
) -> None:
    sources = copy_of_the_sources(tmp_path / "elsewhere")
    shutil.copytree(libraries, tmp_path / "house")

    again = build(sources, tmp_path / "house", umask=0o077)

    assert again.name == package.name
    assert again.read_bytes() == package.read_bytes()


def test_nothing_in_it_belongs_to_anybody_or_can_be_written_by_all(package: Path) -> None:
    listed = call("dpkg-deb", "--contents", package).splitlines()
    odd = [
        line for line in listed if not re.match(r"([d-]rw[x-]r-[x-]r-[x-]|l.{9}) root/root ", line)
    ]

    assert len(listed) > 100
    assert odd == []


def test_it_brings_the_condition_by_which_others_are_held_back(
    package: Path, tmp_path: Path
) -> None:
    call("dpkg-deb", "--extract", package, tmp_path)
    units = tmp_path / "usr/lib/systemd/system"
    found = {
        path.parent.name.removesuffix(".d"): path.read_text().splitlines()
        for path in units.glob(f"*.d/{DROP_IN}")
    }

    assert found.keys() == {service for services in SERVICES.values() for service in services}
    assert all(CONDITION in lines for lines in found.values())


def test_no_server_library_is_in_it(package: Path) -> None:
    listed = call("dpkg-deb", "--contents", package)

    assert "site-packages/patchtide/entry/agent/loop.py" in listed
    assert not re.search(r"site-packages/(sqlalchemy|starlette|uvicorn|jinja2)", listed)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path / "site") as started:
        yield started


@pytest.fixture
def machine(package: Path, tmp_path: Path) -> Iterator[ThrowawayRoot]:
    with throwaway_root(tmp_path / "machine") as root:
        root.put(package, f"/media/{package.name}")
        root.put(INSTALLER, "/media/install-agent")
        yield root


def install(machine: ThrowawayRoot, site: Site, *more: str) -> subprocess.CompletedProcess[str]:
    options = ("--server", site.url, "--token-file", "-", *more)
    return machine.run("/media/install-agent", *options, given=f"{site.token}\n")


def owners(machine: ThrowawayRoot) -> set[str]:
    return set(machine.run("find", STATE, "-printf", "%u\n").stdout.split())


@needs_root
def test_a_machine_is_installed_enrolled_and_reports_with_one_command(
    machine: ThrowawayRoot, site: Site
) -> None:
    site.publish("custom", a_leaf(1, "dpkg", "99"), a_leaf(2, "dpkg", "0.1"))

    done = install(machine, site)
    once = machine.run("patchtide", "agent", "once")

    assert done.returncode == 0, done.stderr
    assert once.returncode == 0, once.stderr
    assert [report.shards for report in site.reports] == [{"custom": 1}]
    assert machine.run("stat", "--format=%a", STATE).stdout.strip() == "700"
    assert owners(machine) == {"patchtide-agent"}
    enabled = machine.run("systemctl", "is-enabled", "patchtide-agent.service")
    assert enabled.stdout.strip() == "enabled", enabled.stderr


@needs_root
def test_removing_keeps_the_identity_and_purging_forgets_it(
    machine: ThrowawayRoot, site: Site
) -> None:
    install(machine, site)
    machine.run("touch", f"{STATE}/{MARK}")

    removed = machine.run("/media/install-agent", "--uninstall")
    held = machine.run("ls", f"{STATE}/{MARK}")
    kept = machine.run("ls", f"{STATE}/identity").stdout.split()
    left = machine.run("find", "/usr/lib/patchtide-agent", UNIT, "/usr/bin/patchtide").stdout
    package = next(iter(machine.run("sh", "-c", "ls /media/*.deb").stdout.split()))
    again = machine.run("dpkg", "--install", package)
    purged = machine.run("/media/install-agent", "--uninstall", "--purge")

    assert (removed.returncode, again.returncode, purged.returncode) == (0, 0, 0), again.stderr
    assert "patchtide machines decommission" in purged.stderr
    assert (kept, left) == (["enrolment", "key"], "")
    assert held.returncode != 0
    assert machine.run("ls", "/var/lib/patchtide").returncode != 0
    assert machine.run("getent", "passwd", "patchtide-agent").stdout == ""


@needs_root
def test_installed_again_it_goes_on_as_the_machine_that_it_was(
    machine: ThrowawayRoot, site: Site
) -> None:
    install(machine, site)
    machine.run("/media/install-agent", "--uninstall")
    before = machine.run("sha256sum", f"{STATE}/identity/enrolment").stdout

    again = machine.run("/media/install-agent")
    once = machine.run("patchtide", "agent", "once")

    assert again.returncode == 0, again.stderr
    assert "goes on as the machine that it was" in again.stderr
    assert once.returncode == 0, once.stderr
    assert machine.run("sha256sum", f"{STATE}/identity/enrolment").stdout == before


@needs_root
def test_an_older_agent_is_not_put_over_what_a_newer_one_left(
    machine: ThrowawayRoot, site: Site
) -> None:
    install(machine, site)
    machine.run("/media/install-agent", "--uninstall")
    newer = r"/^Package: patchtide-agent$/,/^$/s/^Version: .*/Version: 99/"
    machine.run("sed", "-i", newer, "/var/lib/dpkg/status")

    again = machine.run("/media/install-agent")

    assert again.returncode == 1 and "version 99" in again.stderr
    assert machine.run("ls", "/usr/bin/patchtide").returncode != 0


@needs_root
def test_a_machine_that_is_enrolled_already_is_left_alone(
    machine: ThrowawayRoot, site: Site
) -> None:
    install(machine, site)
    before = machine.run("sha256sum", f"{STATE}/identity/enrolment").stdout

    again = install(machine, site)

    assert again.returncode == 1
    assert "already enrolled" in again.stderr
    assert machine.run("sha256sum", f"{STATE}/identity/enrolment").stdout == before


@needs_root
def test_an_agent_that_root_ran_before_is_taken_over(machine: ThrowawayRoot) -> None:
    machine.run("install", "-D", "--mode=600", "/etc/hostname", f"{STATE}/identity/key")
    package = machine.run("sh", "-c", "ls /media/*.deb").stdout.strip()

    done = machine.run("dpkg", "--install", package)

    assert done.returncode == 0, done.stderr
    assert owners(machine) == {"patchtide-agent"}


@needs_root
def test_an_older_agent_is_not_put_over_a_newer_one(machine: ThrowawayRoot, site: Site) -> None:
    machine.run("sh", "-c", "dpkg --install /media/*.deb")
    newer = r"/^Package: patchtide-agent$/,/^$/s/^Version: .*/Version: 99/"
    machine.run("sed", "-i", newer, "/var/lib/dpkg/status")

    done = install(machine, site)

    assert done.returncode == 1
    assert "version 99 is installed here" in done.stderr
    shown = machine.run("dpkg-query", "--show", "--showformat=${Version}", "patchtide-agent")
    assert shown.stdout == "99"


@needs_root
def test_taking_away_what_is_not_there_is_not_called_done(machine: ThrowawayRoot) -> None:
    machine.run("install", "-D", "--mode=600", "/etc/hostname", f"{STATE}/identity/key")

    done = machine.run("/media/install-agent", "--uninstall", "--purge")

    assert (done.returncode, "is not installed here" in done.stderr) == (1, True)
    assert machine.run("test", "-e", f"{STATE}/identity/key").returncode == 0


REFUSED = {
    "not root": ("setpriv --reuid=65534 --clear-groups", "", "needs root"),
    "a Python that is too old": ("", "ln -sf /bin/false /usr/bin/python3", "Python 3.11 or newer"),
    "no package for this machine": ("", "rm /media/*.deb", "no package of the agent"),
    "a token that is none": ("", "", "not enrolled"),
}


@needs_root
@pytest.mark.parametrize(("through", "before", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_said_in_a_sentence(
    machine: ThrowawayRoot, site: Site, through: str, before: str, said: str
) -> None:
    machine.run("sh", "-c", before)

    options = ("--server", site.url, "--token", "nonsense")
    done = machine.run(*through.split(), "/media/install-agent", *options)

    assert done.returncode == 1
    assert said in done.stderr
    assert machine.run("test", "-e", f"{STATE}/identity/enrolment").returncode != 0


MISUSED = {
    "no server": ("--token", "t"),
    "no token": ("--server", "https://s:1"),
    "no TLS": ("--server", "http://s:1", "--token", "t"),
    "two tokens": ("--server", "https://s:1", "--token", "t", "--token-file", "-"),
    "a purge of nothing": ("--purge",),
    "an option without its value": ("--server",),
    "an unknown word": ("--serve", "x"),
    "a server to go from": ("--uninstall", "--server", "https://s:1"),
}


@pytest.mark.parametrize("options", MISUSED.values(), ids=MISUSED)
def test_misuse_is_told_before_anything_is_done(options: tuple[str, ...]) -> None:
    done = subprocess.run([INSTALLER, *options], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert re.fullmatch(r"install-agent: .+; see --help\n", done.stderr)


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
@pytest.mark.parametrize(
    "script", ["install-agent", "agent/postinst", "agent/prerm", "agent/postrm"]
)
def test_every_shell_can_read_the_scripts(shell: str, script: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    call(shell, "-n", ROOT / "packaging" / script)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_the_unit_is_valid_and_leaves_the_agent_next_to_no_rights(tmp_path: Path) -> None:
    unit = tmp_path / "patchtide-agent.service"
    text = (ROOT / "packaging/agent/patchtide-agent.service").read_text()
    unit.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", text))

    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", unit]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout

    assert "patchtide-agent" not in verified.stderr
    exposure = re.search(r"Overall exposure level for \S+: (\S+)", said)
    assert exposure is not None and float(exposure[1]) <= 1.1, said
