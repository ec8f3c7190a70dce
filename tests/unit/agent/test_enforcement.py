"""What is asked before a file is touched, and again right before the machine is changed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import pytest

from patchtide.agent.enforcement import ConsentDenied
from patchtide.agent.policy import LocalPolicy
from patchtide.agent.ports.trust import PackageRollbackRefused
from patchtide.domain.catalog.installers import Installer, InstallerKind
from patchtide.domain.catalog.updates import Evaluator, PackageFloor
from patchtide.domain.errors import PatchtideError
from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer.states import Order
from patchtide.wire.messages import encode
from patchtide.wire.policy import ApprovedV1, RollbackOrderV1
from tests.simulator.machine import CLIENT, SimulatedMachine, a_leaf

FIX = a_leaf(1, "openssl", "3.0.2")
BACK = a_leaf(2, "curl", "7.0")
LEAVE = encode(
    ApprovedV1(
        payload=encode(
            RollbackOrderV1(
                package="curl", version="7.0", reason="8 leaks", expires=2**31, nonce=bytes(16)
            )
        ),
        approvals=(),
    )
)


@dataclass
class Files:
    """A store that only notes what it was asked for."""

    fetched: list[bytes] = field(default_factory=list)
    missing: bool = False

    def fetch(self, digest: bytes, size: int) -> None:
        if self.missing:
            raise Missing
        self.fetched.append(digest)

    def keep_only(self, digests: Collection[bytes]) -> None:
        self.fetched = [digest for digest in self.fetched if digest in digests]

    def open(self, digest: bytes, size: int) -> int:
        raise AssertionError("nothing is opened here")


class Missing(PatchtideError):
    """There is no such file."""

    code = "download-failed"


def a_machine(*leaves: object, **changes: object) -> tuple[SimulatedMachine, Order]:
    """Return a machine that follows these leaves, and the order that names them."""
    machine = SimulatedMachine()
    machine.publish("custom", *leaves)  # type: ignore[arg-type]
    machine.core.start()
    machine.core.step(ev.Woken())
    machine.assign(*leaves, **changes)  # type: ignore[arg-type]
    (order,) = machine.ports.policy.take(machine.envelope, now=machine.now()).orders
    return machine, order


def test_a_package_overtaken_between_staging_and_installing_is_not_installed() -> None:
    machine, order = a_machine(FIX)
    machine.ports.enforcer.stage(order, now=machine.now())

    machine.trust.floors["openssl"] = "3.0.3"  # another order installed a newer one meanwhile

    with pytest.raises(PackageRollbackRefused):
        machine.ports.enforcer.install(order, now=machine.now())
    assert machine.platform.description().packages["openssl"] == "3.0.1"


@pytest.mark.parametrize("step", ["consent", "stage", "install"])
def test_what_is_not_consented_to_never_reaches_the_platform(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, order = a_machine(FIX)
    machine.publish("custom", a_leaf(1, "openssl", "3.0.4"))  # other files than were assigned
    machine.ports.catalog.refresh({}, now=machine.now())
    touched: list[str] = []
    for name in ("stage", "install"):
        monkeypatch.setattr(
            type(machine.platform), name, lambda *_, name=name: touched.append(name) or frozenset()
        )

    with pytest.raises(ConsentDenied, match="files-differ-from-assignment"):
        getattr(machine.ports.enforcer, step)(order, now=machine.now())

    assert touched == []


PROGRAM = replace(FIX, installer=Installer(kind=InstallerKind.PROGRAM, program=FIX.files[0].name))


@pytest.mark.parametrize("step", ["consent", "stage", "install"])
def test_an_installer_that_is_not_understood_never_reaches_the_platform(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, order = a_machine(PROGRAM)
    known = machine.ports.catalog.leaves()
    (number,) = known
    odd = replace(known[number][0], installer=None, evaluator=Evaluator.UNSUPPORTED)
    monkeypatch.setattr(machine.ports.catalog, "leaves", lambda: {number: (odd, "publisher")})

    with pytest.raises(ConsentDenied, match="not-understood"):
        getattr(machine.ports.enforcer, step)(order, now=machine.now())


def test_a_programs_file_is_no_package_that_could_never_be_older_again() -> None:
    machine, order = a_machine(PROGRAM)

    machine.ports.enforcer.install(order, now=machine.now())

    assert PROGRAM.files[0].name not in machine.trust.floors


OWN = {
    ("never", False): ev.Installed(restart_needed=False),
    ("may", False): ev.Installed(restart_needed=True),
    ("never", True): ev.Installed(restart_needed=True, for_others=True),
    ("may", True): ev.Installed(restart_needed=True, for_others=True),
    ("always", True): ev.Installed(restart_needed=True),
}


@pytest.mark.parametrize(("restart", "was_pending"), OWN)
def test_an_installation_tells_its_own_restart_from_one_that_was_waited_for(
    restart: str, was_pending: bool
) -> None:
    machine, order = a_machine(a_leaf(1, "openssl", "3.0.2", restart=restart))
    if was_pending:
        machine.platform.install([a_leaf(9, "linux", "6.1", restart="always")])

    assert machine.ports.enforcer.install(order, now=machine.now()) == OWN[restart, was_pending]


def test_a_floor_rises_by_what_was_installed_and_not_by_what_was_seen() -> None:
    fix = replace(FIX, floors=(PackageFloor("openssl", "3.0.2"), PackageFloor("libssl3", "3.0.2")))
    machine, order = a_machine(fix, a_leaf(3, "openssl", "3.0.9"))
    machine.assign(fix)
    (order,) = machine.ports.policy.take(machine.envelope, now=machine.now()).orders
    machine.ports.enforcer.consent(order, now=machine.now())
    seen = dict(machine.trust.floors)

    machine.ports.enforcer.install(order, now=machine.now())

    assert seen == {}
    assert machine.trust.floors == {"openssl": "3.0.2", "libssl3": "3.0.2"}


def test_a_place_that_ran_out_begins_nothing() -> None:
    machine, order = a_machine(FIX)
    machine.lease = int(machine.now()) + 600
    machine.assign(FIX)

    (leased,) = machine.ports.policy.take(machine.envelope, now=machine.now()).orders
    machine.ports.enforcer.consent(leased, now=machine.now() + 599)

    assert leased.valid_until == machine.lease < order.valid_until
    with pytest.raises(ConsentDenied, match="lease-run-out"):
        machine.ports.enforcer.consent(leased, now=machine.now() + 600)


def test_a_package_goes_back_only_with_its_publishers_leave() -> None:
    machine, order = a_machine(BACK)
    machine.trust.floors["curl"] = "8.0"
    with pytest.raises(PackageRollbackRefused):
        machine.ports.enforcer.consent(order, now=machine.now())

    machine.assign(BACK, rollbacks=(LEAVE,))
    (back,) = machine.ports.policy.take(machine.envelope, now=machine.now()).orders
    machine.trust.leave = LEAVE
    machine.ports.enforcer.consent(back, now=machine.now())

    assert back.rollback and not order.rollback
    assert isinstance(machine.ports.policy, LocalPolicy)
    assert machine.trust.floors["curl"] == "7.0"


def test_files_are_fetched_by_the_digests_that_were_consented_to() -> None:
    machine, order = a_machine(FIX)
    files = Files()
    machine.platform._fetches, machine.ports.enforcer._content = True, files  # type: ignore[attr-defined]

    machine.ports.enforcer.download(order)

    assert files.fetched == [FIX.files[0].sha256]


def test_files_stay_as_long_as_an_open_order_wants_them() -> None:
    machine, order = a_machine(FIX)
    files = Files()
    machine.platform._fetches, machine.ports.enforcer._content = True, files  # type: ignore[attr-defined]
    machine.ports.enforcer.download(order)

    machine.ports.enforcer.tidy([order])
    assert files.fetched == [FIX.files[0].sha256]
    machine.ports.enforcer.tidy([])
    assert files.fetched == []


def test_an_envelope_of_an_earlier_identity_stands_in_nobodys_way() -> None:
    machine, _ = a_machine(FIX)
    old = machine.ports.policy

    for keys, client in (({}, CLIENT), (old._keys, bytes(16))):  # type: ignore[attr-defined]
        policy = LocalPolicy(machine.journal, blobs=machine.blobs, keys=keys, client=client)

        assert old.sequence() == 1
        assert policy.sequence() == 0
        assert policy.assigned(old.take(machine.envelope, now=machine.now()).orders[0].id) == {}


def test_a_file_that_cannot_be_had_leaves_the_order_waiting() -> None:
    machine, _ = a_machine(FIX)
    machine.platform._fetches = True
    machine.ports.enforcer._content = Files(missing=True)  # type: ignore[attr-defined]
    machine.assign(FIX)

    machine.core.step(ev.Rung())

    assert "download-failed" in machine.codes() + list(machine.untold())
    assert machine.core.state.memory.attempts == {}
    assert machine.platform.description().packages["openssl"] == "3.0.1"
