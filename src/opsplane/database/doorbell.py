"""The doorbell: a coalesced NOTIFY that wakes listeners; whoever listens must also poll, as bells can be lost.

NOTIFY inside a caller's transaction takes a database-wide lock at commit, and one notification per row floods
every listener. So the bell is rung after commit, from a connection of its own, and rings that come within a few
milliseconds of each other are sent as one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from opsplane.resilience import Backoff, Stop
from opsplane.telemetry import get_logger

log = get_logger("database")
_PAYLOAD_LIMIT = 7900  # PostgreSQL refuses payloads of 8000 bytes and more
_RECONNECT = Backoff(0.1, 2.0)


class Bell:
    """What a listener waits on: the distinct payloads rung since it last looked."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._payloads: set[str] = set()

    def rang(self, payload: str) -> None:
        """Wake the listener."""
        self._payloads.update(payload.split("\n"))
        self._rung.set()

    async def wait(self, timeout: float) -> set[str]:  # noqa: ASYNC109  a poll interval, not a deadline
        """The payloads rung since the last call, at once or as soon as there are any; empty after `timeout` s."""
        try:
            async with asyncio.timeout(timeout):
                await self._rung.wait()
        except TimeoutError:
            return set()
        self._rung.clear()
        payloads, self._payloads = self._payloads, set()
        return payloads

    @asynccontextmanager
    async def rung_at(self, stop: Stop) -> AsyncIterator[None]:
        """Within the block the bell rings when `stop` is set, so that a listener who waits long stops at once."""

        async def ring() -> None:
            await stop.wait()
            self.rang("")

        ringing = asyncio.create_task(ring(), name="doorbell stop")
        try:
            yield
        finally:
            ringing.cancel()


class Doorbell:
    """Rings and listens on one database; `await close()` at the end.

    Needs a direct connection: LISTEN does not pass a transaction pooler such as PgBouncer.
    """

    def __init__(self, dsn: str, *, gap: float = 0.002) -> None:
        self._dsn = str.__str__(dsn)
        self._gap = gap
        self._waiting: dict[str, set[str]] = defaultdict(set)
        self._bells: dict[str, set[Bell]] = defaultdict(set)
        self._rang = 0.0
        self._ringer: asyncio.Task[None] | None = None
        self._ringer_connection: psycopg.AsyncConnection | None = None
        self._listener: asyncio.Task[None] | None = None
        self._subscribed = asyncio.Event()
        self._changed = asyncio.Event()

    def ring(self, channel: str, payload: str = "") -> None:
        """Wake everyone listening on `channel` soon; call it after the commit it announces."""
        self._waiting[channel].add(payload)
        if self._ringer is None or self._ringer.done():
            self._ringer = asyncio.get_running_loop().create_task(
                self._ring_waiting(), name=f"doorbell {channel}"
            )

    @asynccontextmanager
    async def listen(self, channel: str) -> AsyncIterator[Bell]:
        """A bell for `channel`, heard from the moment the block is entered."""
        bell = Bell()
        fresh = channel not in self._bells or not self._bells[channel]
        self._bells[channel].add(bell)
        if self._listener is None or self._listener.done():
            self._subscribed.clear()
            self._listener = asyncio.create_task(self._hear(), name="doorbell listener")
        elif fresh:
            self._subscribed.clear()
            self._changed.set()
        try:
            async with asyncio.timeout(2.0):
                await self._subscribed.wait()
        except TimeoutError:
            log.warning("doorbell.late", channel=channel)  # the poll carries on until the listener is back
        try:
            yield bell
        finally:
            self._bells[channel].discard(bell)

    async def close(self) -> None:
        """Send what is waiting, stop listening, close both connections."""
        if self._ringer is not None:
            await asyncio.wait([self._ringer], timeout=1.0)
            self._ringer.cancel()
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        if self._ringer_connection is not None:
            await self._ringer_connection.close()

    async def _ring_waiting(self) -> None:
        while self._waiting:
            quiet = asyncio.get_running_loop().time() - self._rang
            await asyncio.sleep(max(0.0, self._gap - quiet))  # the first of a burst goes out at once
            self._rang = asyncio.get_running_loop().time()
            rings, self._waiting = self._waiting, defaultdict(set)
            try:
                connection = await self._connected()
                for channel, payloads in rings.items():
                    for payload in _packed(payloads):
                        await connection.execute("select pg_notify(%s, %s)", [channel, payload])
            except psycopg.OperationalError as error:
                log.warning("doorbell.silent", error=str(error))  # listeners poll as well: late, never lost
                self._ringer_connection = None

    async def _connected(self) -> psycopg.AsyncConnection:
        if self._ringer_connection is None or self._ringer_connection.closed:
            self._ringer_connection = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
        return self._ringer_connection

    async def _hear(self) -> None:
        failures = 0
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
                    failures = 0
                    await self._hear_on(connection)
            except psycopg.OperationalError as error:
                failures += 1
                log.warning("doorbell.deaf", error=str(error), failures=failures)
                await asyncio.sleep(_RECONNECT.delay(failures))

    async def _hear_on(self, connection: psycopg.AsyncConnection) -> None:
        heard: set[str] = set()
        while True:
            self._changed.clear()
            for channel in [name for name, bells in self._bells.items() if bells and name not in heard]:
                await connection.execute(f'listen "{channel}"'.encode())
                heard.add(channel)
            self._subscribed.set()
            await self._deliver(connection)

    async def _deliver(self, connection: psycopg.AsyncConnection) -> None:
        notifies = asyncio.create_task(self._forward(connection))
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait([notifies, changed], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (notifies, changed):
                task.cancel()
            outcomes = await asyncio.gather(notifies, changed, return_exceptions=True)
        if isinstance(outcomes[0], psycopg.Error):
            raise outcomes[0]

    async def _forward(self, connection: psycopg.AsyncConnection) -> None:
        async for notify in connection.notifies():
            for bell in self._bells.get(notify.channel, ()):
                bell.rang(notify.payload)


def _packed(payloads: set[str]) -> list[str]:
    packed: list[str] = []
    for payload in sorted(payloads):
        if packed and len(packed[-1].encode()) + len(payload.encode()) < _PAYLOAD_LIMIT:
            packed[-1] += "\n" + payload
        else:
            packed.append(payload)
    return packed
