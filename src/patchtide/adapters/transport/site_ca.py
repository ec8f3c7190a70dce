"""Finds the site's CA by the hash that came with the enrolment token.

This is the one place that looks at a certificate before it trusts anything, and therefore the
one exception from "verification is never off": the handshake is made only to see which
certificates the server presents, not one byte of a request is sent, and the connection is closed.
The CA is then accepted because its SHA-256 equals the token's, and from then on every connection
is verified against that CA alone, host name included.
"""

from __future__ import annotations

import hmac
import ssl
from hashlib import sha256
from urllib.parse import urlsplit

from patchtide.adapters.transport.ways import Way
from patchtide.agent.enrolment import EnrolmentFailed

TIMEOUT_S = 15.0


def find_ca(url: str, ca_sha256: bytes, way: Way | None = None) -> bytes:
    """Return the presented certificate (DER) with this SHA-256.

    Raises:
        EnrolmentFailed: it cannot be reached, or presents no such certificate.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise EnrolmentFailed(f"{url} is no https address")
    for certificate in _presented(parts.hostname, parts.port or 443, way or Way()):
        if hmac.compare_digest(sha256(certificate).digest(), ca_sha256):
            return certificate
    raise EnrolmentFailed("the server presents no certificate with the token's hash")


def _presented(host: str, port: int, way: Way) -> list[bytes]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # see above: looked at, never spoken to
    try:
        with (
            way.connected(host, port, timeout=TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            return _chain_of(secured)
    except OSError as error:
        raise EnrolmentFailed(f"{host}:{port} cannot be reached: {error}") from error


def _chain_of(secured: ssl.SSLSocket) -> list[bytes]:
    if hasattr(secured, "get_unverified_chain"):  # public from Python 3.13 on
        return list(secured.get_unverified_chain())
    chain = secured._sslobj.get_unverified_chain() or []  # type: ignore[attr-defined]
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain]


def verified_context(ca: bytes) -> ssl.SSLContext:
    """Return the context for every other connection: this CA and no other, TLS 1.3."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=ca)
    return context
