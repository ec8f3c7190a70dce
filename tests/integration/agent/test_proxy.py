"""An agent behind a real proxy: told by its site or set on the machine, and what when it fails."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from patchtide.adapters.agentstate.settings import KeptSettings
from patchtide.adapters.agentstate.status import read_enrolment
from patchtide.domain.sequencer import events as ev
from patchtide.entry.agent import listen
from patchtide.entry.agent.__main__ import main as agent
from patchtide.entry.agent.compose import composed
from patchtide.wire.agent_settings import AgentSettingsV1, FreezeV1, ProxyV1
from patchtide.wire.messages import CheckInAnswerV1, encode
from tests.simulator.agent_command import MACHINE_ID
from tests.simulator.connect_proxy import ConnectProxy
from tests.simulator.site_server import Site, running

ACCOUNT = "agent:one word"


@dataclass
class Machine:
    site: Site
    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "agent.toml"

    def enrol(self) -> int:
        told = ["enrol", "--server", self.site.url, "--token", self.site.token]
        return agent([*told, *self.options()])

    def options(self) -> list[str]:
        named = {"state": self.folder / "state", "config": self.config}
        named["machine-id-file"] = self.folder / "machine-id"
        return [word for name, value in named.items() for word in (f"--{name}", str(value))]

    def told(self, proxy: ProxyV1 | None) -> None:
        KeptSettings(self.folder / "state").keep(encode(AgentSettingsV1(proxy=proxy)))

    def checks_in(self) -> ev.Failed | None:
        """Return what went wrong."""
        with composed(
            self.folder / "state",
            platform=f"simulated:{self.folder / 'machine.json'}",
            machine_id_file=self.folder / "machine-id",
            check=False,
            config=self.config,
        ) as core:
            core.start()
            core.step(ev.Rung())
            return core.failure

    def troubles(self) -> list[str]:
        """Return what the server was told of proxies since it was asked last."""
        events = [event for report in self.site.reports for event in report.events]
        self.site.reports.clear()
        return [event.detail for event in events if event.code == "proxy-failed"]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("behind")
    with running(folder / "site") as site:
        machine = Machine(site, folder)
        (folder / "machine-id").write_text(MACHINE_ID)
        described = {"os_id": "debian", "os_version": "12", "packages": {"curl": "8.0"}}
        (folder / "machine.json").write_text(json.dumps(described))
        assert machine.enrol() == 0
        yield machine


@pytest.fixture
def machine(started: Machine) -> Machine:
    started.config.unlink(missing_ok=True)
    started.told(None)
    started.checks_in()
    started.site.reports.clear()
    return started


@pytest.fixture
def proxy(machine: Machine) -> Iterator[ConnectProxy]:
    with ConnectProxy({"127.0.0.1": machine.site.port}, account=ACCOUNT) as found:
        yield found


def a_dead_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_proxy_that_the_site_tells_of_is_gone_by_from_the_next_time_on_and_shown_no_account(
    machine: Machine,
) -> None:
    with ConnectProxy({"127.0.0.1": machine.site.port}) as proxy:
        told = AgentSettingsV1(proxy=ProxyV1(address=proxy.address))
        answer = encode(CheckInAnswerV1(next_poll_s=3600, settings=encode(told)))
        machine.site.next_answers.append((200, answer, {}))

        first = machine.checks_in(), list(proxy.asked)
        second = machine.checks_in(), list(proxy.asked)

    target = f"127.0.0.1:{machine.site.port}"
    assert first == (None, [])
    assert second == (None, [("CONNECT", target, "")])
    assert machine.troubles() == []
    assert (machine.folder / "state" / "settings").stat().st_mode & 0o777 == 0o600


FAILING = ("wrong account", "dead", "leads elsewhere", "refuses")


@pytest.mark.parametrize("how", FAILING)
def test_a_told_proxy_that_does_not_work_never_cuts_the_machine_off(
    machine: Machine, proxy: ConnectProxy, how: str
) -> None:
    with (
        ConnectProxy({"127.0.0.1": int(proxy.address.rpartition(":")[2])}) as elsewhere,
        ConnectProxy({}, refuses=403) as refusing,
    ):
        address = {
            "wrong account": proxy.address,
            "dead": a_dead_address(),
            "leads elsewhere": elsewhere.address,
            "refuses": refusing.address,
        }[how]
        machine.told(ProxyV1(address=address))
        before = len(machine.site.check_ins)

        failures = [machine.checks_in(), machine.checks_in()]

    assert failures == [None, None]
    assert len(machine.site.check_ins) == before + 2
    [trouble] = machine.troubles()
    assert trouble.startswith(f"proxy {address}: ")


def test_what_was_set_on_the_machine_is_its_only_way_and_wins(
    machine: Machine, proxy: ConnectProxy
) -> None:
    before = len(machine.site.check_ins)
    dead = a_dead_address()
    machine.config.write_text(f'proxy = "{dead}"\n')
    cut_off = machine.checks_in()

    account = machine.folder / "account"
    account.write_text(ACCOUNT + "\n")
    account.chmod(0o600)
    machine.config.write_text(f'proxy = "{proxy.address}"\nproxy_account = "{account}"\n')
    machine.told(ProxyV1(address=dead))
    by_its_own = machine.checks_in(), [asked[2] for asked in proxy.asked]

    machine.config.write_text('proxy = ""\n')
    by_none = machine.checks_in()

    assert cut_off == ev.Failed("unreachable", cut_off.detail if cut_off else "")
    assert f"proxy {dead}: " in cut_off.detail
    assert (by_its_own, by_none) == ((None, [ACCOUNT]), None)
    assert len(machine.site.check_ins) == before + 2
    assert machine.troubles() == []


def test_an_exception_goes_without_it(machine: Machine) -> None:
    machine.told(ProxyV1(address=a_dead_address(), direct=("127.0.0.1",)))

    assert machine.checks_in() is None
    assert machine.troubles() == []


def test_a_file_of_settings_that_cannot_be_read_counts_as_none_and_is_told_of(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.config.write_text('prxy = "http://proxy:3128"\n')

    assert machine.checks_in() is None
    codes = [event.code for report in machine.site.reports for event in report.events]
    agent(["doctor", "--json", *machine.options()])

    assert codes == ["local-settings-refused"]
    assert "`prxy`" in capsys.readouterr().out


def test_the_doctor_names_the_address_that_failed_and_status_who_said_it(
    machine: Machine, proxy: ConnectProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    def checks() -> dict[str, tuple[str, str]]:
        agent(["doctor", "--json", *machine.options()])
        found = json.loads(capsys.readouterr().out)["checks"]
        return {check["check"]: (check["level"], check["said"]) for check in found}

    machine.told(ProxyV1(address=proxy.address))
    told = checks()
    machine.config.write_text(f'proxy = "{proxy.address}"\nscan_every_h = 12\n')
    local = checks()
    simulated = f"simulated:{machine.folder / 'machine.json'}"
    options = machine.options()[:4]
    agent(["status", "--json", *options, "--platform", simulated])
    settings = json.loads(capsys.readouterr().out)["settings"]

    refused = f"transfer-failed: proxy {proxy.address}: 407, it wants another account"
    assert told["proxy"] == ("note", refused)
    assert told["server"][0] == "fine"
    assert local["proxy"][0] == "wrong" and "server" not in local
    assert settings["proxy"] == {"value": proxy.address, "from": "this machine"}
    assert settings["scan_every_s"] == {"value": 43_200, "from": "this machine"}
    assert settings["postpone_times"] == {"value": 3, "from": "as agents begin"}
    assert 0 < settings["due_now_postponed_until"] - time.time() <= 86_400


@pytest.mark.parametrize("works", [True, False])
def test_the_event_line_goes_the_same_way(
    machine: Machine, proxy: ConnectProxy, works: bool
) -> None:
    enrolment = read_enrolment(machine.folder / "state" / "identity")
    assert enrolment is not None
    host, _, port = proxy.address.removeprefix("http://").partition(":")
    right, wrong = (host, int(port), ACCOUNT), (host, int(port), "x:y")
    target = "127.0.0.1", machine.site.port, enrolment.ca

    with listen._line(*target, via=right if works else wrong, falls_back=True) as line:
        assert line.version() == "TLSv1.3"
    assert len(proxy.asked) == 1
    with pytest.raises(OSError, match="wants another account"):
        listen._line(*target, via=wrong, falls_back=False)


def test_a_machine_behind_a_proxy_enrols_through_it(machine: Machine) -> None:
    with ConnectProxy({"127.0.0.1": machine.site.port}) as proxy:
        newcomer = Machine(machine.site, machine.folder / "newcomer")
        newcomer.folder.mkdir(exist_ok=True)
        (newcomer.folder / "machine-id").write_text("f" * 32)
        newcomer.config.write_text(f'proxy = "{proxy.address}"\n')

        known, done = machine.site.public_key, newcomer.enrol()
        machine.site.public_key = known

        assert (done, len(proxy.asked)) == (0, 2)


def test_status_says_until_when_the_machine_is_frozen(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    today = datetime.now(UTC)
    begins, ends = (f"{today + timedelta(days=n):%Y-%m-%d} 06:00" for n in (-2, 9))
    freeze = FreezeV1(begins=begins, ends=ends, is_utc=True)
    KeptSettings(machine.folder / "state").keep(encode(AgentSettingsV1(freezes=(freeze,))))

    machine.checks_in()
    simulated = f"simulated:{machine.folder / 'machine.json'}"
    agent(["status", *machine.options()[:4], "--platform", simulated])

    assert f"until {ends} UTC (the site)" in capsys.readouterr().out
