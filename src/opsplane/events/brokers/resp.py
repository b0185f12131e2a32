"""A lean client of the Redis protocol (RESP2) for the hot path: one pipeline, one write, one future."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

from opsplane.errors import InvalidInput
from opsplane.events.broker import BrokerUnavailable
from opsplane.events.brokers.servers import BEFORE_REDIS_6, Server, refuse_vulnerable, server_of

Command = tuple[Any, ...]


class CommandRefused(BrokerUnavailable):
    """The store answered a command with an error."""


class Address:
    """Where a store is and who asks."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "unix"):
            raise InvalidInput(f"{parts.scheme}:// is not a broker URL.", remedy="Use redis://… or unix://….")
        self.user = unquote(parts.username or "")
        self.password = unquote(parts.password or "")
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 6379
        self.path = parts.path if parts.scheme == "unix" else None
        given = (
            parse_qs(parts.query).get("db", [parts.path.strip("/")])[0] if parts.scheme == "redis" else "0"
        )
        self.database = int(given or 0)

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


class _Protocol(asyncio.Protocol):
    def __init__(self, patience: float, lost: Callable[[], None]) -> None:
        self._patience = patience
        self._tell_lost = lost
        self._heard = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[asyncio.Future[list[Any]], int, list[Any]]] = deque()
        self.transport: asyncio.Transport | None = None
        self.lost = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.lost.set()
        self._tell_lost()
        if self._watch is not None:
            self._watch.cancel()
        self._writable.set()
        while self._waiting:
            future = self._waiting.popleft()[0]
            if not future.done():
                future.set_exception(BrokerUnavailable("The broker closed the connection.", cause=str(exc)))

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._heard = asyncio.get_running_loop().time()
        self._reader.feed(data)
        while self._waiting:
            future, count, replies = self._waiting[0]
            while len(replies) < count:
                reply = self._reader.gets()
                if reply is False:
                    return
                replies.append(reply)
            self._waiting.popleft()
            if not future.done():
                future.set_result(replies)

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        await self._writable.wait()
        if self.transport is None:
            raise BrokerUnavailable("The broker closed the connection.")
        loop = asyncio.get_running_loop()
        if not self._waiting:
            self._heard = loop.time()
            if self._watch is None:
                self._watch = loop.call_later(self._patience, self._look)
        future: asyncio.Future[list[Any]] = loop.create_future()
        self._waiting.append((future, len(commands), []))
        self.transport.write(b"".join([hiredis.pack_command(command) for command in commands]))
        return await future

    def _look(self) -> None:
        """Give up a connection on which a reply is due and nothing has come: one timer for all commands."""
        self._watch = None
        if not self._waiting or self.transport is None:
            return
        loop = asyncio.get_running_loop()
        left = self._heard + self._patience - loop.time()
        if left <= 0:
            self.transport.abort()
        else:
            self._watch = loop.call_later(left, self._look)


class Connection:
    """One connection, made on first use and again after it was lost; `timeout` seconds of silence lose it.

    A server with a known critical hole is refused unless `allow_vulnerable`. `losses` counts lost connections.
    """

    def __init__(self, address: Address, timeout: float = 10.0, *, allow_vulnerable: bool = False) -> None:
        self.losses = 0
        self._address = address
        self._timeout = timeout
        self._allow_vulnerable = allow_vulnerable
        self._protocol: _Protocol | None = None
        self._connecting = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether the next command goes over the connection of the last; what a connection watches ends with it."""
        return self._protocol is not None and self._protocol.transport is not None

    async def call(self, *command: Any) -> Any:
        """The reply to one command; raises `CommandRefused` or `BrokerUnavailable`."""
        return (await self.pipeline([command]))[0]

    async def pipeline(self, commands: Sequence[Command], *, errors: bool = True) -> list[Any]:
        """The replies to all commands, sent at once; the first error is raised unless `errors` is false."""
        protocol = self._protocol
        if protocol is None or protocol.transport is None:
            protocol = await self._connected()
        replies = await protocol.send(commands)
        if errors:
            for reply in replies:
                _check(reply)
        return replies

    async def transaction(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to commands run as one atomic step."""
        replies = await self.pipeline([("MULTI",), *commands, ("EXEC",)])
        for reply in replies[-1]:
            _check(reply)
        return list(replies[-1])

    async def close(self) -> None:
        """Close it; a later call connects again."""
        protocol, self._protocol = self._protocol, None
        if protocol is not None and protocol.transport is not None:
            protocol.transport.abort()
            await protocol.lost.wait()

    def _lost(self) -> None:
        self.losses += 1

    async def _connected(self) -> _Protocol:
        async with self._connecting:
            if self._protocol is not None and self._protocol.transport is not None:
                return self._protocol
            protocol = await self._dial()
            greeting: list[Command] = []
            if self._address.password:
                user = (self._address.user,) if self._address.user else ()
                greeting.append(("AUTH", *user, self._address.password))
            if self._address.database:
                greeting.append(("SELECT", str(self._address.database)))
            await self._greet(protocol, greeting)
            self._protocol = protocol
            return protocol

    async def _greet(self, protocol: _Protocol, greeting: Sequence[Command]) -> None:
        try:
            *replies, server = await protocol.send([*greeting, ("HELLO", "2")])
            for reply in replies:
                _check(reply)
            if not self._allow_vulnerable:
                refuse_vulnerable(_server(server), self._address)
        except BaseException:
            if protocol.transport is not None:
                protocol.transport.abort()
            raise

    async def _dial(self) -> _Protocol:
        loop, address = asyncio.get_running_loop(), self._address

        def protocol() -> _Protocol:
            return _Protocol(self._timeout, self._lost)

        try:
            async with asyncio.timeout(self._timeout):
                if address.path:
                    return (await loop.create_unix_connection(protocol, address.path))[1]
                return (await loop.create_connection(protocol, address.host, address.port))[1]
        except (OSError, TimeoutError) as error:
            raise BrokerUnavailable(
                f"The broker at {address} cannot be reached: {error}.", remedy="See: opsplane status"
            ) from error


def _server(greeting: Any) -> Server:
    if "unknown command" in str(greeting).lower():
        return BEFORE_REDIS_6
    _check(greeting)
    return server_of(greeting)


def _check(reply: Any) -> None:
    if isinstance(reply, hiredis.ReplyError):
        text = str(reply)
        if text.startswith(("LOADING", "BUSY ", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN")):
            raise BrokerUnavailable(f"The broker is not ready: {text}")
        raise CommandRefused(f"The broker refused a command: {text}", reply=text)
