"""A laboratory to be killed: says which processes it consists of, the keeper first, then sleeps."""

from __future__ import annotations

import time

from tests.lab.commands import run
from tests.lab.laboratory import lab
from tests.lab.slow_line import Quality


def main() -> None:
    with lab() as here:
        host = here.host("victim")
        host.worsen(Quality(delay_ms=1))
        host.run("systemctl", "is-system-running", "--wait")
        print(*descendants(host.keeper), *descendants(here.network.holder), flush=True)
        time.sleep(600)


def descendants(pid: int) -> list[int]:
    children = run("sh", "-c", f"cat /proc/{pid}/task/*/children").split()
    return [pid, *(found for child in children for found in descendants(int(child)))]


if __name__ == "__main__":
    main()
