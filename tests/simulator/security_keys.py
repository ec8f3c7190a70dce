"""A security key in Python: it answers what a page asks as a browser would bring it, or wrongly."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_bytes
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import Aaguid, AttestationObject, AttestedCredentialData, AuthenticatorData

PRESENT, ATTESTED = 0x01, 0x40


@dataclass
class SoftKey:
    """One key pair, as a key makes it for one site."""

    counts: bool = True
    counter: int = 0
    id: bytes = field(default_factory=lambda: token_bytes(32))
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def copied(self) -> SoftKey:
        """Return another one that holds the same secret."""
        return SoftKey(counts=self.counts, counter=self.counter, id=self.id, private=self.private)

    def registers(self, options: str, *, origin: str, **wrong: Any) -> str:
        """Answer what `to_register` asked; `wrong`: fields of the client data that are others."""
        asked = json.loads(options)["publicKey"]
        public = AttestedCredentialData.create(
            Aaguid(bytes(16)), self.id, ES256.from_cryptography_key(self.private.public_key())
        )
        data = self._data(asked["rp"]["id"], public)
        client = _client("webauthn.create", asked["challenge"], origin, wrong)
        made = AttestationObject.create("none", data, {})
        return self._said(client, attestationObject=websafe_encode(made))

    def shows(self, options: str, *, origin: str, rp: str = "", **wrong: Any) -> str:
        """Answer what `to_show` asked."""
        asked = json.loads(options)["publicKey"]
        data = self._data(rp or asked["rpId"])
        client = _client("webauthn.get", asked["challenge"], origin, wrong)
        signature = self.private.sign(data + sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._said(
            client,
            authenticatorData=websafe_encode(data),
            signature=websafe_encode(signature),
        )

    def _data(self, rp: str, public: bytes = b"") -> AuthenticatorData:
        self.counter += self.counts
        flags = AuthenticatorData.FLAG(PRESENT | (ATTESTED if public else 0))
        return AuthenticatorData.create(sha256(rp.encode()).digest(), flags, self.counter, public)

    def _said(self, client: bytes, **response: str) -> str:
        id = websafe_encode(self.id)
        return json.dumps(
            {
                "id": id,
                "rawId": id,
                "type": "public-key",
                "response": {"clientDataJSON": websafe_encode(client), **response},
                "clientExtensionResults": {},
            }
        )


def _client(kind: str, challenge: str, origin: str, wrong: dict[str, Any]) -> bytes:
    said = {"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}
    return json.dumps({**said, **wrong}).encode()
