"""Private Ed25519 keys of the signed repository's roles, one PEM file a key, for nobody else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, Key, SSlibKey

from patchtide.adapters.trust.durable import private_folder, write_durably
from patchtide.domain.errors import PatchtideError, Refused

_NAME = re.compile(r"(?P<role>[a-z]+)\.(?P<key>[0-9a-f]{64})\.pem")


def public_key(raw: bytes) -> Key:
    """Return the 32 bytes of an Ed25519 key in the repository's form."""
    return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(raw))


def raw_public_key(signer: CryptoSigner) -> bytes:
    """Return the 32 bytes of a signer's public key."""
    return bytes.fromhex(signer.public_key.keyval["public"])


def make_key_file(path: Path) -> CryptoSigner:
    """Make a key that lies in a file of its own, on whatever machine signs with it.

    Raises:
        Refused: something is there already; a key is never written over.
    """
    if path.exists() or path.is_symlink():
        raise Refused(f"{path} exists; a key is never written over")
    private = Ed25519PrivateKey.generate()
    write_durably(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return CryptoSigner(private)


def read_key_file(path: Path) -> CryptoSigner:
    """Return the signer of a key file.

    Raises:
        Refused: it holds no Ed25519 key, or others may read it.
    """
    if path.stat().st_mode & 0o077:
        raise Refused(f"others may read {path}: chmod 600 it, and think who may have read the key")
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise Refused(f"{path} holds no private key in PEM without a passphrase") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise Refused(f"the key in {path} is no Ed25519 key")
    return CryptoSigner(private)


class KeysElsewhere(PatchtideError):
    """The keys of this role are not on this server; sign on the machine that holds them."""

    code = "keys-elsewhere"


class KeyFolder:
    """The keys that lie on this machine, by role: `<role>.<key id>.pem`."""

    def __init__(self, folder: Path) -> None:
        self._folder = private_folder(folder)

    def make(self, role: str) -> CryptoSigner:
        private = Ed25519PrivateKey.generate()
        signer = CryptoSigner(private)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_durably(self._path(role, signer.public_key.keyid), pem)
        return signer

    def all_ids(self) -> Iterator[tuple[str, str]]:
        """Yield (role, key id) of every key that lies here."""
        for path in sorted(self._folder.iterdir()):
            if match := _NAME.fullmatch(path.name):
                yield match["role"], match["key"]

    def key_ids(self, role: str) -> frozenset[str]:
        return frozenset(key for of, key in self.all_ids() if of == role)

    def signers(self, role: str, key_ids: Iterable[str]) -> list[CryptoSigner]:
        """Return the role's signers among the wanted keys that lie here."""
        here = self.key_ids(role)
        return [self._load(role, key_id) for key_id in sorted(here.intersection(key_ids))]

    def remove(self, role: str, key_id: str) -> None:
        """Forget a key, say after it moved to a publisher's machine."""
        self._path(role, key_id).unlink()

    def _load(self, role: str, key_id: str) -> CryptoSigner:
        private = load_pem_private_key(self._path(role, key_id).read_bytes(), password=None)
        if not isinstance(private, Ed25519PrivateKey):
            raise TypeError(f"the key {key_id} of {role} is no Ed25519 key")
        return CryptoSigner(private)

    def _path(self, role: str, key_id: str) -> Path:
        return self._folder / f"{role}.{key_id}.pem"
