"""Verifies signatures for the server that started it, until that one is gone.

It is given one descriptor to talk over, and neither a database nor a key.
"""

from __future__ import annotations

import socket
import sys

from patchtide.adapters.beside.line import serve
from patchtide.adapters.sodium.beside import answered

if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as line:
        serve(line, lambda _: answered)
