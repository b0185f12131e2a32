"""Listeners of task streams in a process of their own: `python -m tests.faults.stream_listeners` with a JSON object on stdin.

Each reads one task's stream to its final status; some hang up in the middle, are away for a moment and come back. It says
`ready` when all listen, and at the end prints what each saw last.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any
from urllib.parse import urlsplit


class Listener:
    """One client, on plain sockets: what a thousand of them cost must be the server's cost."""

    def __init__(self, told: dict[str, Any], number: int) -> None:
        self.address = urlsplit(told["url"])
        self.token = told["token"]
        self.task = told["tasks"][number % len(told["tasks"])]
        self.leaves = number < told["leavers"]
        self.first = asyncio.Event()
        self.final = ""
        self.connections = 0

    async def run(self) -> None:
        """Listen until the final status was seen."""
        while not self.final:
            self.connections += 1
            stay = random.uniform(0.5, 4.0) if self.leaves and self.connections <= 3 else 120.0
            try:
                async with asyncio.timeout(stay):
                    await self._listen()
            except TimeoutError:
                await asyncio.sleep(random.uniform(0.0, 1.0))

    async def _listen(self) -> None:
        reader, writer = await asyncio.open_connection(self.address.hostname, self.address.port)
        try:
            writer.write(
                f"GET /api/v1/operations/tasks/{self.task}/stream HTTP/1.1\r\nHost: here\r\n"
                f"Authorization: Bearer {self.token}\r\n\r\n".encode()
            )
            while line := await reader.readline():
                if line.startswith(b"data: "):
                    self._take(json.loads(line[6:]))
                if self.final:
                    return
        finally:
            writer.close()

    def _take(self, event: dict[str, Any]) -> None:
        self.first.set()
        status = event.get("task", event).get("status")
        if status in ("completed", "failed", "cancelled"):
            self.final = status


async def main() -> None:
    told = json.loads(sys.stdin.readline())
    listeners = [Listener(told, number) for number in range(told["listeners"])]
    running = [asyncio.create_task(listener.run()) for listener in listeners]
    for listener in listeners:
        await listener.first.wait()
    print("ready", flush=True)
    await asyncio.gather(*running)
    finals: dict[str, int] = {}
    for listener in listeners:
        finals[listener.final] = finals.get(listener.final, 0) + 1
    print(
        json.dumps({"finals": finals, "connections": sum(one.connections for one in listeners)}), flush=True
    )


if __name__ == "__main__":
    asyncio.run(main())
