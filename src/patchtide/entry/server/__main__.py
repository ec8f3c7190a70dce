"""`patchtide serve`: one process that is the site, for agents and administrators, on TLS."""

from __future__ import annotations

import logging
import os
import sys

import uvloop

from patchtide.domain.errors import PatchtideError
from patchtide.entry.server.serving import serve
from patchtide.entry.server.settings import read_settings


def main() -> int:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
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
