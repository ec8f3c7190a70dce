"""Whether the server is there and is the site's, and until when its certificate says so."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from patchtide.adapters.transport.site_ca import verified_context
from patchtide.adapters.transport.tunnel import ProxyFailed
from patchtide.adapters.transport.ways import Way
from patchtide.agent.ports.web import TransferFailed, TransferUntrusted

TIMEOUT_S = 15.0


def certificate_end(url: str, ca: bytes, way: Way | None = None) -> float:
    """Return when the server's certificate ends, in epoch seconds. Nothing is asked of it.

    The address that failed is named, the server's or the proxy's; there is no other way then.

    Raises:
        TransferUntrusted: somebody is there, but cannot show that it is the site's server.
        TransferFailed: nobody is there.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    way = way or Way()
    try:
        with (
            way.connected(host, port, timeout=TIMEOUT_S) as plain,
            verified_context(ca).wrap_socket(plain, server_hostname=host) as secured,
        ):
            shown = secured.getpeercert() or {}
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or str(error)
        raise TransferUntrusted(f"{host}:{port}: {reason}") from error
    except ProxyFailed as error:
        raise TransferFailed(str(error)) from error
    except OSError as error:
        raise TransferFailed(f"{host}:{port}: {error}") from error
    return ssl.cert_time_to_seconds(str(shown["notAfter"]))
