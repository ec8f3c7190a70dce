"""How a server speaks TLS, in whichever of its processes connections end."""

from __future__ import annotations

import ctypes
import ssl

_M_MMAP_THRESHOLD, _READ_BUFFER = -3, 256 * 1024


def server_tls(chain: str, key: str) -> ssl.SSLContext:
    """Return what a server accepts connections with."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain, key)
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    # Tickets are half a kilobyte a connection, and agents come with a fresh process each time.
    tls.num_tickets = 0
    return tls


def keep_buffers_apart() -> None:
    """Have each TLS connection's buffer mapped by itself: of 256 KB it touches a page or two.

    In the heap it would lie on what the handshake before it touched, 22 KB a connection more.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _READ_BUFFER)
    except (AttributeError, OSError):
        return  # another C library than glibc, with rules of its own
