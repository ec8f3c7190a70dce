"""`patchtide serve`: one process that is the site, for agents and administrators, on TLS."""

from __future__ import annotations

import ctypes
import logging
import os
import sys

import uvloop

from patchtide.domain.errors import PatchtideError
from patchtide.entry.server.serving import serve
from patchtide.entry.server.settings import read_settings
from patchtide.server.garbage_collection import collect_rarely

SWITCH_S = 0.001
M_MMAP_THRESHOLD, TLS_READ_BUFFER = -3, 256 * 1024


def main() -> int:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    # The writer and the verifier leave the interpreter for half a millisecond and want it
    # back: at the default of 5 ms they would wait most of the time while requests come in.
    sys.setswitchinterval(SWITCH_S)
    collect_rarely()
    _keep_buffers_apart()
    try:
        settings = read_settings(sys.argv[1:], os.environ)
        uvloop.run(serve(settings))
    except PatchtideError as error:
        sys.stderr.write(f"patchtide serve: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"patchtide serve: {error.strerror or error}: {error.filename or ''}\n")
        return 1
    return 0


def _keep_buffers_apart() -> None:
    """Have each TLS connection's buffer mapped by itself: of 256 KB it touches a page or two.

    In the heap it would lie on what the handshake before it touched, 22 KB a connection more.
    """
    try:
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, TLS_READ_BUFFER)
    except (AttributeError, OSError):
        return  # another C library than glibc, with rules of its own


if __name__ == "__main__":
    sys.exit(main())
