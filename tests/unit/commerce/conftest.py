"""One service on a database of its own, behind a test client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from opsplane.database import Pool
from opsplane.embedded.keys import ensure_keys
from opsplane.events import Event, Outbox
from opsplane.service import Runtime, Service, event_schemas, migrate_service
from opsplane.telemetry import Health
from opsplane.testing import EventRecorder, ManualClock
from opsplane.web import TokenIssuer, Verifier, create_app


class Served:
    """A running service as tests use it."""

    def __init__(self, runtime: Runtime, client: httpx.AsyncClient, clock: ManualClock) -> None:
        self.runtime, self.client, self.clock = runtime, client, clock
        self.pool = runtime.pool

    def token(self, sub: str, *roles: str) -> dict[str, str]:
        assert self.runtime.issuer is not None
        return {"Authorization": f"Bearer {self.runtime.issuer.issue(sub, roles or ['customer'])}"}

    @property
    def staff(self) -> dict[str, str]:
        return self.token("staff", "operations_staff")

    async def events(self) -> list[Event[Any]]:
        """What waits in the outbox, in order."""
        return await EventRecorder(self.pool).events()

    async def topics(self) -> list[str]:
        return [event.type for event in await self.events()]


def client_of(app: Any) -> httpx.AsyncClient:
    """A client in the same event loop: the application shares its pool with the test."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.fixture
async def serve(database: str, tmp_path: Path) -> AsyncIterator[Callable[[Service], Any]]:
    ensure_keys(tmp_path)
    verifier = Verifier(tmp_path / "jwks.json", "opsplane", "opsplane")
    issuer = TokenIssuer(tmp_path / "issuer.pem", tmp_path / "jwks.json", "opsplane", "opsplane")
    async with AsyncExitStack() as stack:

        async def start(service: Service) -> Served:
            pool = await Pool.open(database, min_size=1, max_size=8)
            stack.push_async_callback(pool.close)
            await migrate_service(service, pool)
            clock = ManualClock()
            outbox = Outbox(event_schemas([service]), service.name)
            runtime = Runtime(pool, outbox, verifier, issuer, clock)
            app = create_app(service.name, service.api(runtime), verifier=verifier, health=Health())
            client = await stack.enter_async_context(client_of(app))
            return Served(runtime, client, clock)

        yield start
