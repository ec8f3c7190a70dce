"""Reads machines' rows for the server that started it, until that one is gone.

It is given one descriptor to talk over, and told over it which database: an address may hold a
password, which a command line would show to everybody.
"""

from __future__ import annotations

import socket
import sys

from patchtide.adapters.beside.line import serve
from patchtide.adapters.storage.rows_beside import begin

if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as line:
        serve(line, begin)
