"""Accepts connections for the server that started it, until that one is gone.

It is given one descriptor to talk over. Over it come, first, what it is to do, the socket to accept
on, and the one by which it hands connections on. It has no database.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys

import msgspec
import uvloop

from patchtide.adapters.http.porter import Porter
from patchtide.adapters.http.porter_line import ORDER_BYTES, Order
from patchtide.adapters.http.tls import keep_buffers_apart
from patchtide.server.garbage_collection import collect_rarely, settle


async def _serve(line: socket.socket) -> None:
    told, [listening, hand], _, _ = socket.recv_fds(line, ORDER_BYTES, 2, socket.MSG_CMSG_CLOEXEC)
    order = msgspec.msgpack.decode(told, type=Order)
    line.setblocking(False)
    porter = Porter(order, hand=socket.socket(fileno=hand))
    settle()
    await porter.serve(line, socket.socket(fileno=listening))


if __name__ == "__main__":
    # Whoever ends a whole group ends the server; this one answers first, and ends with its line.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    collect_rarely()
    keep_buffers_apart()
    uvloop.run(_serve(socket.socket(fileno=int(sys.argv[1]))))
