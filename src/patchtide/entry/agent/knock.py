"""Makes the one request that asks the server for its event line, signed and with its counter.

A process of its own, for it needs the key and the journal: whoever then holds the line open, for
days, needs neither. Says one JSON line on standard output; nothing when the machine is not
enrolled. Not for people; the agent's loop starts it.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from patchtide.adapters.agentstate.folder import private_folder
from patchtide.adapters.agentstate.identity import Identity, open_identity, read_machine_id
from patchtide.adapters.agentstate.local import DEFAULT_CONFIG, local_or_nothing
from patchtide.adapters.agentstate.sqlite import Damaged, SqliteJournal, open_journal
from patchtide.adapters.transport.ways import Way
from patchtide.agent.enrolment import Enrolment
from patchtide.domain.errors import PatchtideError
from patchtide.domain.sequencer.states import Brain
from patchtide.entry.agent.proxy import way_of
from patchtide.wire.request_signature import Request, sign_request

PATH = "/agent/v1/events"
FAILED = 70
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def main(arguments: Sequence[str] | None = None) -> int:
    os.umask(0o077)
    asked = _parser().parse_args(arguments)
    try:
        said = _knock(asked.state, asked.machine_id_file, asked.config)
    except (PatchtideError, Damaged, OSError) as error:
        sys.stderr.write(f"{getattr(error, 'code', type(error).__name__)}: {error}\n")
        return FAILED
    sys.stdout.write(said)
    return 0


def _knock(state: Path, machine_id_file: Path, config: Path) -> str:
    machine_id = read_machine_id(machine_id_file)
    identity = open_identity(private_folder(state) / "identity", machine_id=machine_id)
    enrolment = identity.enrolment()
    if enrolment is None:
        return ""
    boot_id = _BOOT_ID.read_text("ascii").strip()
    journal, _ = open_journal(state / "journal.db", boot_id=boot_id)
    try:
        way = way_of(state, local_or_nothing(config, state=state)[0])
        return _signed(enrolment, identity, journal, way)
    finally:
        journal.close()


def _signed(enrolment: Enrolment, identity: Identity, journal: SqliteJournal, way: Way) -> str:
    address = urlsplit(enrolment.url)
    created = int(time.time() + _offset(journal.load()))
    headers = sign_request(
        Request(method="GET", authority=address.netloc, path=PATH),
        identity.sign,
        key_id=str(UUID(bytes=enrolment.client)),
        counter=journal.take_counter(),
        created=created,
    )
    lines = [f"GET {PATH} HTTP/1.1", f"host: {address.netloc}", *(f"{n}: {v}" for n, v in headers)]
    said = {
        "host": address.hostname,
        "port": address.port or 443,
        "ca": base64.b64encode(enrolment.ca).decode(),
        "request": "\r\n".join([*lines, "", ""]),
        "via": way.via(address.hostname or ""),
        "falls_back": way.falls_back,
    }
    return json.dumps(said) + "\n"


def _offset(stored: bytes | None) -> float:
    """Return what the server's clock is ahead, as the brain has learned it."""
    try:
        return msgspec.msgpack.decode(stored or b"", type=Brain).memory.clock_offset_s
    except msgspec.DecodeError:
        return 0.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="patchtide.entry.agent.knock", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--platform", default="", help="taken and not used")
    parser.add_argument("--machine-id-file", type=Path, default=Path("/etc/machine-id"))
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG)
    return parser


if __name__ == "__main__":
    sys.exit(main())
