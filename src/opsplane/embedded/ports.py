from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil

LOOPBACK = "127.0.0.1"
CANDIDATES = range(12000, 32000)
_SHUFFLED = random.SystemRandom()


def free_ports(count: int, without: Iterable[int] = ()) -> list[int]:
    """`count` different loopback ports nobody listens on now, none of them in `without`.

    They lie below the range the kernel hands to outgoing connections, so that they are free next time too.
    """
    avoided = set(without)
    candidates = (port for port in _SHUFFLED.sample(CANDIDATES, len(CANDIDATES)) if port not in avoided)
    return list(itertools.islice((port for port in candidates if is_free(port)), count))


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `port` of `host` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def holder(port: int) -> str:
    """Who listens on `port`: `pid 412 (nginx)`, or `another process` where we may not see it."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return "another process"
    for connection in connections:
        local = connection.laddr
        if local and connection.status == psutil.CONN_LISTEN and local.port == port and connection.pid:
            return f"pid {connection.pid} ({_name(connection.pid)})"
    return "another process"


def _name(pid: int) -> str:
    """The program's name; from its command line, because one started through a file descriptor is named `10`."""
    try:
        process = psutil.Process(pid)
        command = process.cmdline()
        return Path(command[0].split()[0].rstrip(":")).name if command and command[0] else process.name()
    except psutil.Error:
        return "ended meanwhile"
