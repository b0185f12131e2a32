"""Serving an application on one address until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import uvicorn

from opsplane.resilience import Stop


class _Quiet(uvicorn.Server):
    """A uvicorn server that leaves signals to the process it is part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve(app: Any, host: str, port: int, stop: Stop, *, grace: int = 10) -> None:
    """Serve `app` until `stop`; requests in flight get `grace` seconds to finish."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=grace,
        timeout_keep_alive=75,
        backlog=2048,
    )
    server = _Quiet(config)
    running = asyncio.create_task(server.serve(), name=f"http {port}")
    stopping = asyncio.create_task(stop.wait(), name=f"http {port} stop")
    try:
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await running
    finally:
        stopping.cancel()
