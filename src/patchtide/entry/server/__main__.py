"""`patchtide serve`: one process that is the site, for agents and administrators, on TLS."""

from __future__ import annotations

import logging
import os
import sys

import uvloop

from patchtide.adapters.http.tls import keep_buffers_apart
from patchtide.domain.errors import PatchtideError
from patchtide.entry.server.serving import serve
from patchtide.entry.server.settings import read_settings
from patchtide.server.garbage_collection import collect_rarely

SWITCH_S = 0.001


def main() -> int:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    # The writer and the verifier leave the interpreter for half a millisecond and want it
    # back: at the default of 5 ms they would wait most of the time while requests come in.
    sys.setswitchinterval(SWITCH_S)
    collect_rarely()
    keep_buffers_apart()
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


if __name__ == "__main__":
    sys.exit(main())
