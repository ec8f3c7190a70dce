"""Metadata and blobs come over verified TLS alone (S23)."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from patchtide.adapters.transport.https import HttpsGetter
from patchtide.adapters.transport.lines import Lines
from patchtide.agent.ports.web import TransferFailed, TransferUntrusted


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:
        del format, args


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        del request, client_address  # failed handshakes are what is tested


@contextmanager
def served(certificate: trustme.LeafCert, *, newest: ssl.TLSVersion | None = None) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if newest is not None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = newest
    certificate.configure_cert(context)
    server = QuietServer(("127.0.0.1", 0), Hello)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def get(url: str, ca: trustme.CA) -> bytes:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    with HttpsGetter(Lines(context)).get(url, total_s=5.0, stall_s=5.0) as reply:
        return b"".join(reply.chunks)


def test_a_server_with_a_certificate_of_its_authority_is_heard() -> None:
    ca = trustme.CA()

    with served(ca.issue_cert("127.0.0.1")) as url:
        assert get(url, ca) == b"hello"


@pytest.mark.parametrize("flaw", ["another authority", "expired", "another name"])
def test_a_certificate_with_a_flaw_is_refused(flaw: str) -> None:
    ca = trustme.CA()
    past = datetime.now(UTC) - timedelta(days=2)
    certificate = {
        "another authority": lambda: trustme.CA().issue_cert("127.0.0.1"),
        "expired": lambda: ca.issue_cert("127.0.0.1", not_after=past),
        "another name": lambda: ca.issue_cert("127.0.0.2"),
    }[flaw]()

    with served(certificate) as url, pytest.raises(TransferUntrusted):
        get(url, ca)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_outdated_tls_is_refused() -> None:
    ca = trustme.CA()

    with (
        served(ca.issue_cert("127.0.0.1"), newest=ssl.TLSVersion.TLSv1_1) as url,
        pytest.raises(TransferUntrusted),
    ):
        get(url, ca)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_outdated_tls_cannot_be_allowed() -> None:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_1

    with pytest.raises(ValueError, match="outdated"):
        Lines(context)


def test_plain_http_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(TransferFailed, match="no https address"):
        get("http://127.0.0.1:1/", trustme.CA())


@pytest.mark.parametrize("off", ["certificates", "names"])
def test_verification_cannot_be_switched_off(off: str) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    if off == "certificates":
        context.verify_mode = ssl.CERT_NONE

    with pytest.raises(ValueError, match="must verify"):
        Lines(context)
