from __future__ import annotations

import re
import socket


def send(port: int, request: bytes, *, timeout: float = 5.0) -> bytes:
    """What comes back for bytes sent as they are, until the gateway closes or a whole answer has come."""
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = connection.recv(65536)
            if not piece:
                return answer
            answer += piece
        length = re.search(rb"content-length: (\d+)", answer, re.IGNORECASE)
        end = answer.index(b"\r\n\r\n") + 4 + (int(length[1]) if length else 0)
        while len(answer) < end or (not length and not answer.endswith(b"0\r\n\r\n")):
            piece = connection.recv(65536)
            if not piece:
                break
            answer += piece
        return answer


def status(answer: bytes) -> int:
    """The status of an answer, 0 where the connection was closed without one."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0


def get(port: int, target: bytes, *headers: bytes) -> bytes:
    """The answer to a GET of the target as it is."""
    lines = [b"GET " + target + b" HTTP/1.1", b"Host: gateway.example", *headers]
    return send(port, b"\r\n".join(lines) + b"\r\n\r\n")
