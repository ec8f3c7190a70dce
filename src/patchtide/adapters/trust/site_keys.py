"""The site's own keys: its certificate authority, its TLS certificate, the key of its answers.

All are made on this machine by the operating system's generator at first start; there are no
defaults. The authority signs nothing but this site's server certificates.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from patchtide.adapters.trust.durable import locked, private_folder, write_durably

CA_YEARS = 20
SERVER_DAYS = 397
RENEW_DAYS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteKeys:
    ca_certificate: Path
    ca_digest: str
    """SHA-256 of the authority's certificate (DER), hex: what enrolment tokens carry."""
    server_chain: Path
    server_key: Path
    answers: Ed25519PrivateKey


def open_site_keys(folder: Path, *, site: str, names: Iterable[str], now: datetime) -> SiteKeys:
    """Return the site's keys, making what is missing and renewing what soon expires."""
    private_folder(folder)
    with locked(folder / ".lock"):
        return _opened(folder, site=site, names=names, now=now)


def _opened(folder: Path, *, site: str, names: Iterable[str], now: datetime) -> SiteKeys:
    ca_key = _elliptic_key(folder / "site-ca.key")
    ca_path = folder / "site-ca.pem"
    if not ca_path.exists():
        write_durably(ca_path, _authority(ca_key, site, now).public_bytes(Encoding.PEM))
    ca = x509.load_pem_x509_certificate(ca_path.read_bytes())
    server_key = _elliptic_key(folder / "server.key")
    chain = folder / "server.pem"
    wanted = tuple(dict.fromkeys(names))
    if not _serves(chain, wanted, now):
        certificate = _server_certificate(ca, ca_key, server_key, wanted, now)
        write_durably(chain, certificate.public_bytes(Encoding.PEM) + ca.public_bytes(Encoding.PEM))
    return SiteKeys(
        ca_certificate=ca_path,
        ca_digest=sha256(ca.public_bytes(Encoding.DER)).hexdigest(),
        server_chain=chain,
        server_key=folder / "server.key",
        answers=_answer_key(folder / "answers.key"),
    )


def _elliptic_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        write_durably(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    loaded = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path.name} is no elliptic curve key")
    return loaded


def _answer_key(path: Path) -> Ed25519PrivateKey:
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        write_durably(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    loaded = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(loaded, Ed25519PrivateKey):
        raise TypeError(f"{path.name} is no Ed25519 key")
    return loaded


def _authority(key: ec.EllipticCurvePrivateKey, site: str, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Patchtide site {site}"[:64])])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * CA_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _server_certificate(
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...],
    now: datetime,
) -> x509.Certificate:
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=SERVER_DAYS))
        .add_extension(x509.SubjectAlternativeName([_alternative(n) for n in names]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(authority, critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _serves(chain: Path, names: tuple[str, ...], now: datetime) -> bool:
    if not chain.exists():
        return False
    certificate = x509.load_pem_x509_certificate(chain.read_bytes())
    stated = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    fresh = certificate.not_valid_after_utc > now + timedelta(days=RENEW_DAYS)
    return fresh and set(stated) == {_alternative(n) for n in names}
