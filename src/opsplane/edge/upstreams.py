"""The services behind the gateway, asked directly by the gateway role."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

import httpx

from opsplane.errors import NotFound, Unavailable


class Upstreams:
    """Where each service answers; every call has `deadline` seconds."""

    def __init__(self, services: Mapping[str, str], *, deadline: float = 2.0) -> None:
        self._services = dict(services)
        self._deadline = deadline
        self._tls = ssl.SSLContext(
            ssl.PROTOCOL_TLS_CLIENT
        )  # services are called without TLS; this trusts nobody

    @property
    def names(self) -> list[str]:
        """The services, sorted."""
        return sorted(self._services)

    async def get(self, service: str, path: str) -> httpx.Response:
        """What a service answers to GET; raises `NotFound` for an unknown one, `Unavailable` for a silent one."""
        if service not in self._services:
            raise NotFound(f"There is no service {service!r}.", remedy=f"There are {', '.join(self.names)}.")
        url = f"{self._services[service]}{path}"
        try:
            async with asyncio.timeout(self._deadline), httpx.AsyncClient(verify=self._tls) as client:
                return await client.get(url, timeout=self._deadline)
        except (TimeoutError, httpx.HTTPError) as error:
            raise Unavailable(
                f"{service} does not answer within {self._deadline:g} s: {type(error).__name__}.",
                service=service,
            ) from error
