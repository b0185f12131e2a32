"""Entries that are on disk before they are acknowledged: WAITAOF (Redis ≥ 7.2, Valkey) behind each group of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from opsplane.errors import OpsplaneError
from opsplane.events.broker import BrokerUnavailable
from opsplane.events.brokers.resp import Address, Command, CommandRefused, Connection

PATIENCE_MS = 5000
_MOST = 1000


class NotDurable(OpsplaneError):
    """The broker cannot say that entries are on its disk."""

    status = 501


class NotOnDisk(BrokerUnavailable):
    """The broker did not say in time that the entries are on its disk; they may be lost with its power."""


class StrictWriter:
    """Sends commands on a connection of its own and answers when their effects are on disk.

    Those that come while it waits for the disk go together next: one wait, however many there are.
    """

    def __init__(self, address: Address) -> None:
        self._connection = Connection(address, timeout=PATIENCE_MS / 1000 + 5)
        self._waiting: list[tuple[Command, asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None
        self._able = False

    async def write(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to the commands, in order. Raises `NotDurable`, `NotOnDisk`, `BrokerUnavailable`."""
        if not self._able:
            await self._require_ability()
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in commands]
        self._waiting += zip(commands, futures, strict=True)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._send_waiting(), name="strict writer")
        replies = await asyncio.gather(*futures, return_exceptions=True)
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply
        return list(replies)

    async def close(self) -> None:
        """Close the connection; who still waits is told that nothing is certain."""
        await self._connection.close()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _require_ability(self) -> None:
        """Ask before anything is written: a server that cannot wait for its disk is refused."""
        try:
            await self._connection.call("WAITAOF", "1", "0", "1")
        except CommandRefused as error:
            raise NotDurable(
                f"The broker cannot wait for its disk ({error.reply}), so `durability: strict` is not to be had.",
                remedy="Use Redis 7.2 or Valkey with `appendonly yes`, or set `durability: outbox` in events.yaml.",
            ) from error
        self._able = True

    async def _send_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            try:
                await self._send(batch)
            except BaseException as error:  # whatever ended it, nobody may wait for ever
                self._able = False
                for _, future in batch:
                    if not future.done():
                        future.set_exception(_told(error))
                if not isinstance(error, Exception):
                    raise

    async def _send(self, batch: Sequence[tuple[Command, asyncio.Future[Any]]]) -> None:
        commands = [command for command, _ in batch]
        waiting = ("WAITAOF", "1", "0", str(PATIENCE_MS))
        *replies, kept = await self._connection.pipeline([*commands, waiting], errors=False)
        on_disk = isinstance(kept, list) and int(kept[0]) >= 1
        for (_, future), reply in zip(batch, replies, strict=True):
            if future.done():
                continue
            if isinstance(reply, Exception):
                future.set_exception(
                    CommandRefused(f"The broker refused an entry: {reply}", reply=str(reply))
                )
            elif not on_disk:
                future.set_exception(_late(kept))
            else:
                future.set_result(reply)


def _late(reply: Any) -> NotOnDisk:
    why = f": {reply}" if isinstance(reply, Exception) else f" within {PATIENCE_MS / 1000:g} s."
    return NotOnDisk(f"The broker did not say that the entry is on its disk{why}", remedy="Publish it again.")


def _told(error: BaseException) -> BaseException:
    return error if isinstance(error, Exception) else BrokerUnavailable("Publishing was stopped.")
