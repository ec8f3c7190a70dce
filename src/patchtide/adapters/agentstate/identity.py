"""The machine's key and its enrolment: files of their own, so that they outlive the journal.

The key is bound to the machine's id. A disk that was copied to another machine brings a key that
is not used there: a new one is made, and the machine has to enrol again.
"""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from patchtide.adapters.agentstate.folder import private_folder, sync_folder, write_durably
from patchtide.adapters.agentstate.status import read_enrolment
from patchtide.agent.enrolment import Enrolment
from patchtide.domain.errors import PatchtideError

_MACHINE_ID = re.compile(r"[0-9a-f]{32}")


class NoMachineId(PatchtideError):
    """The machine has no id (/etc/machine-id), so its key could not be bound to it."""

    code = "no-machine-id"


class _KeyFile(Struct, frozen=True):
    machine: bytes
    seed: bytes


class Identity:
    """The signing key of this machine, and its enrolment if there is one."""

    def __init__(self, folder: Path, key: Ed25519PrivateKey) -> None:
        self._folder = folder
        self._key = key

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def enrolment(self) -> Enrolment | None:
        return read_enrolment(self._folder)

    def keep(self, enrolment: Enrolment) -> None:
        write_durably(self._folder / "enrolment", msgspec.msgpack.encode(enrolment))


def open_identity(folder: Path, *, machine_id: str) -> Identity:
    """Return this machine's identity, with a new key when there is none that belongs to it.

    An enrolment that another machine's key made goes with that key.
    """
    private_folder(folder)
    bound_to = _binding(machine_id)
    stored = _stored_key(folder / "key")
    if stored is not None and stored.machine == bound_to:
        return Identity(folder, Ed25519PrivateKey.from_private_bytes(stored.seed))
    (folder / "enrolment").unlink(missing_ok=True)
    sync_folder(folder)
    seed = os.urandom(32)
    write_durably(folder / "key", msgspec.msgpack.encode(_KeyFile(bound_to, seed)))
    return Identity(folder, Ed25519PrivateKey.from_private_bytes(seed))


def is_of_this_machine(folder: Path, *, machine_id: str) -> bool:
    """Say whether the key that is kept was made on this machine; nothing is changed."""
    stored = _stored_key(folder / "key")
    return stored is not None and stored.machine == _binding(machine_id)


def _binding(machine_id: str) -> bytes:
    return sha256(b"patchtide-key-1\0" + machine_id.encode()).digest()


def _stored_key(path: Path) -> _KeyFile | None:
    try:
        stored = msgspec.msgpack.decode(path.read_bytes(), type=_KeyFile)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return stored if len(stored.seed) == 32 else None


def read_machine_id(path: Path = Path("/etc/machine-id")) -> str:
    """Return the id.

    Raises:
        NoMachineId: there is none, or it is no id.
    """
    try:
        text = path.read_text("ascii", "replace").strip()
    except OSError as error:
        raise NoMachineId(f"{path}: {error.strerror}") from error
    if not _MACHINE_ID.fullmatch(text):
        raise NoMachineId(f"{path} holds no machine id")
    return text
