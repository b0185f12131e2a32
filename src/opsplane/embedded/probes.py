from __future__ import annotations

import http.client
import socket
from pathlib import Path

PATIENCE = 2.0


def listens(host: str, port: int) -> bool:
    """Whether something accepts connections on the port."""
    try:
        with socket.create_connection((host, port), PATIENCE):
            return True
    except OSError:
        return False


def answers(host: str, port: int, path: str) -> bool:
    """Whether `GET path` is answered with 200."""
    return _ok(http.client.HTTPConnection(host, port, timeout=PATIENCE), path)


def answers_over_unix(socket_path: Path, path: str) -> bool:
    """Whether `GET path` on a unix socket is answered with 200."""
    return _ok(_UnixConnection(socket_path), path)


def _ok(connection: http.client.HTTPConnection, path: str) -> bool:
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))
