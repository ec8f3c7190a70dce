"""What is asked again right before the machine is changed."""

from __future__ import annotations

import pytest

from patchtide.agent.ports.trust import PackageRollbackRefused
from patchtide.domain.sequencer import events as ev
from tests.simulator.machine import SimulatedMachine, a_leaf

FIX = a_leaf(1, "openssl", "3.0.2")


def test_a_package_overtaken_between_staging_and_installing_is_not_installed() -> None:
    machine = SimulatedMachine()
    machine.publish("custom", FIX)
    machine.core.start()
    machine.core.step(ev.Woken())
    machine.assign(FIX)
    (order,) = machine.ports.policy.take(machine.envelope, now=machine.now()).orders
    machine.ports.enforcer.stage(order, now=machine.now())

    machine.trust.floors["openssl"] = "3.0.3"  # another order installed a newer one meanwhile

    with pytest.raises(PackageRollbackRefused):
        machine.ports.enforcer.install(order, now=machine.now())
    assert machine.platform.description().packages["openssl"] == "3.0.1"
