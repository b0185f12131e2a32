"""A receiver of callbacks: a real HTTP server that keeps what it was sent and answers as it is told."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def task(self) -> dict[str, Any]:
        return dict(json.loads(self.body)["data"])


class Receiver:
    """`answers` are used up in turn, the last one stays: a status, with headers where they matter; `delay` comes before."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: list[int | tuple[int, dict[str, str]]] = [200]
        self.delay = 0.0
        self.port = 0
        self.now = self.most = 0  # requests being answered at this moment, and at most

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        return [one.id for one in self.received]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])
            }
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.received.append(Received(head[0].split()[1], headers, body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            status, more = answer if isinstance(answer, tuple) else (answer, {})
            await asyncio.sleep(self.delay)
            lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in more.items())]
            writer.write("\r\n".join([*lines, "Content-Length: 2", "", "ok"]).encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # whoever called has gone
        finally:
            self.now -= 1
            writer.close()


@asynccontextmanager
async def receiving(
    receiver: Receiver | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """A receiver on a port of 127.0.0.1; one that is given is there again on its port."""
    found = receiver or Receiver()
    server = await asyncio.start_server(found.serve, "127.0.0.1", found.port, ssl=tls)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
