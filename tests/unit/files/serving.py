from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from litestar import Litestar

from opsplane.errors import OpsplaneError
from opsplane.files import LocalStore, upload_handlers
from opsplane.web.problems import own_problem


@asynccontextmanager
async def client_of(store: LocalStore, **options: object) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the store's signed URLs."""
    app = Litestar(
        list(upload_handlers(store, **options)),
        exception_handlers={OpsplaneError: own_problem},
        request_max_body_size=1000,
        openapi_config=None,
        logging_config=None,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        yield client
