"""One POST to a judged address: no second resolution, no redirect, no proxy, ten seconds, and the answer's body unread."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any, NamedTuple

import httpcore
import httpx
from httpcore import AsyncNetworkBackend, AsyncNetworkStream

from opsplane.tasks.callbacks.policy import Address, CallbackPolicy, CallbackRefused, Target

TIME_LIMIT = 10.0
PATIENCE = 2.0  # with an address while there is another one
LOOKUPS = 16
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


class Answer(NamedTuple):
    """What became of one try: a status, or why there is none; `retry_after` are seconds the receiver asked for.

    `refused` says that no try can succeed: callbacks may not go there.
    """

    status: int | None = None
    error: str | None = None
    retry_after: float | None = None
    refused: bool = False


class Resolver:
    """Looks names up in threads of its own: a name server that hangs holds up nothing else of this process."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="callback lookup")

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """Every address of the name; raises `OSError`."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [ip_address(entry[4][0]) for entry in found]


class Pinned(AsyncNetworkBackend):
    """Connects to the judged addresses, one after the other, whatever host it is asked for."""

    def __init__(self, addresses: Sequence[Address], network: AsyncNetworkBackend) -> None:
        self._addresses = list(dict.fromkeys(addresses))
        self._network = network

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002  the name, for which the certificate is checked, is not looked up again
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's own
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncNetworkStream:
        """A connection to the first address that takes one; raises what the last one answered."""
        *others, last = self._addresses
        for address in others:
            try:
                return await self._network.connect_tcp(
                    str(address), port, PATIENCE, local_address, socket_options
                )
            except (httpcore.NetworkError, httpcore.TimeoutException):
                continue
        return await self._network.connect_tcp(str(last), port, timeout, local_address, socket_options)


class Post:
    """Sends messages to URLs as far as `policy` lets it."""

    def __init__(
        self,
        policy: CallbackPolicy,
        *,
        resolve: Resolve | None = None,
        network: AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        self._policy = policy
        self._resolve = resolve or Resolver()
        self._network = network or httpcore.AnyIOBackend()
        self._tls = tls or httpx.create_ssl_context()
        self._time_limit = time_limit

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What the receiver answered; a failure to reach it is an answer as well."""
        try:
            async with asyncio.timeout(self._time_limit):
                target = self._policy.target(url)
                return await self._send(target, await self._addresses(target), headers, body)
        except CallbackRefused as error:
            return Answer(error=error.message, refused=True)
        except TimeoutError:
            return Answer(error=f"no answer within {self._time_limit:g} s")
        except (OSError, UnicodeError, httpcore.TimeoutException) as error:
            return Answer(error=f"not reached: {type(error).__name__}")
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            return Answer(error=f"not reached: {type(error).__name__}: {str(error)[:200]}".rstrip(": "))

    async def _addresses(self, target: Target) -> Sequence[Address]:
        """The addresses of the target, each judged; raises `CallbackRefused` for all when one may not be connected to."""
        found = [target.address] if target.address else await self._resolve(target.host, target.port)
        if not found:
            raise OSError(f"{target.host} has no address")
        self._policy.judge(target.host, found)
        return found

    async def _send(
        self, target: Target, addresses: Sequence[Address], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        url = httpcore.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        )
        fields = {"Host": target.name, **headers, "Content-Length": str(len(body)), "Connection": "close"}
        pinned = Pinned(addresses, self._network)
        async with (
            httpcore.AsyncConnectionPool(self._tls, network_backend=pinned) as pool,
            pool.stream("POST", url, headers=list(fields.items()), content=body) as answer,
        ):
            return Answer(answer.status, _complaint(answer.status), _retry_after(answer))


def _complaint(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"it answered {status}; redirects are not followed"
    return f"it answered {status}"


def _retry_after(answer: httpcore.Response) -> float | None:
    """The seconds of the header `Retry-After`, given as such or as a date; None when there is none that can be read."""
    found = [value for name, value in answer.headers if name.lower() == b"retry-after"]
    if answer.status not in (429, 503) or not found:
        return None
    text = found[0].decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
