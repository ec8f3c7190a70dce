"""Verifies signatures for the server that started it, until that one is gone.

It is given one descriptor to talk over, and told the key of the server's answers over it. It has no
database.
"""

from __future__ import annotations

import socket
import sys

from patchtide.adapters.beside.line import serve
from patchtide.adapters.sodium.beside import begin

if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as line:
        serve(line, begin)
