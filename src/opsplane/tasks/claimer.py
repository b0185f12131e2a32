"""Claiming: up to so many due tasks of some types, by queue weight, then priority, then due time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from opsplane.database import Connection, sql
from opsplane.tasks.context import Claim
from opsplane.tasks.marks import BEGINNING, LEVELS, Mark, Marks, Tick
from opsplane.tasks.sessions import CHECK_INTERVAL, CLAIM_PLAN, open_session

TICK = 0.025
SWEEP_SHARE = 20.0  # a sweep that took a second is followed by twenty without one: at most 5 % of the time
SWEEP_GAP = 1.0


class Queues:
    """The queues a claimer knows: weights, and which are paused."""

    def __init__(self, names: Iterable[str]) -> None:
        self.weights: dict[str, float] = dict.fromkeys(names, 1.0)
        self.paused: frozenset[str] = frozenset()
        self._passes: dict[str, float] = {}

    def learn(self, names: Iterable[str]) -> None:
        """Note queues heard of."""
        for name in names:
            self.weights.setdefault(name, 1.0)

    def settle(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take over the settings of the table `queue`."""
        found = {row["name"]: row for row in rows}
        self.weights.update((name, row["weight"]) for name, row in found.items())
        self.paused = frozenset(name for name, row in found.items() if row["paused"])

    def by_turn(self) -> list[str]:
        """Queues that may be claimed from, whose turn it is first (stride scheduling)."""
        least = min(self._passes.values(), default=0.0)
        return sorted(
            (name for name in self.weights if name not in self.paused),
            key=lambda name: self._passes.setdefault(name, least),
        )

    def took(self, name: str, count: int) -> None:
        """Count what a queue was given against its weight."""
        self._passes[name] = self._passes.get(name, 0.0) + count / self.weights[name]


class Claimer:
    """Claims tasks of the given types for a worker, on one session of its own."""

    def __init__(self, types: Collection[str], queues: Queues) -> None:
        self._types = sorted(types)
        self._queues = queues
        self._marks = Marks()
        self._ticked = self._sweep_due = 0.0

    def forget(self) -> None:
        """Start again at the beginning: what happened while the session was away is not known."""
        self._marks = Marks()
        self._ticked = 0.0

    async def settle(self, session: Connection) -> None:
        """Read the queues' settings, before anything is claimed from one that is paused."""
        self._queues.settle(await self._rows(session, "queue_settings", {}))

    async def claim(self, session: Connection, worker: int, limit: int) -> list[Claim]:
        """At most `limit` tasks, now this worker's; each queue gets its share by weight before the rest is given out."""
        await self._tick(session)
        sweep = time.monotonic() >= self._sweep_due
        started = time.monotonic()
        if sweep:
            self._queues.learn(row["queue"] for row in await self._rows(session, "find_queues", {}))
        claims = await self._claim(session, worker, limit, sweep=sweep)
        if sweep:
            took = time.monotonic() - started
            self._sweep_due = time.monotonic() + max(SWEEP_GAP, SWEEP_SHARE * took)
        return claims

    async def _claim(self, session: Connection, worker: int, limit: int, *, sweep: bool) -> list[Claim]:
        claims: list[Claim] = []
        names = self._queues.by_turn()
        while names and len(claims) < limit:
            share = -(-(limit - len(claims)) // len(names))
            emptied = []
            for name in names:
                wanted = min(share, limit - len(claims))
                if not wanted:
                    break
                got = await self._from_queue(session, worker, name, wanted, sweep=sweep)
                claims += got
                self._queues.took(name, len(got))
                if len(got) < wanted:
                    emptied.append(name)
            names = [name for name in names if name not in emptied]
        return claims

    async def _from_queue(
        self, session: Connection, worker: int, queue: str, limit: int, *, sweep: bool
    ) -> list[Claim]:
        marks = [BEGINNING for _ in LEVELS] if sweep else self._marks.of(queue)
        rows = await self._rows(
            session,
            "claim_tasks",
            {
                "queue": queue,
                "types": self._types,
                "worker": worker,
                "limit": limit,
                "levels": list(LEVELS),
                "ats": [mark.at for mark in marks],
                "ids": [mark.id for mark in marks],
            },
        )
        last = None
        if len(rows) == limit:
            level, at, task_id = max((row["prio"], row["run_at"], row["id"]) for row in rows)
            last = level, Mark(at, task_id)
        self._marks.claimed(queue, last)
        return [Claim(**row) for row in rows]

    async def _tick(self, session: Connection) -> None:
        now = time.monotonic()
        if now - self._ticked < TICK:
            return
        row = (await self._rows(session, "tick", {}))[0]
        self._marks.ticked(Tick(row["at"], row["running"], row["next_xid"], row["own_xid"]))
        self._ticked = now

    async def _rows(
        self, session: Connection, name: str, parameters: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        return await (await session.execute(sql(__package__, name), parameters or None)).fetchall()


class ClaimSession:
    """The one session a worker claims on, opened again when it is lost; `held` are the tokens the worker knows of."""

    def __init__(self, dsn: str, worker: int, held: Callable[[], list[int]]) -> None:
        self._dsn = dsn
        self._worker = worker
        self._held = held
        self._session: Connection | None = None
        self._lock = asyncio.Lock()
        self._broken = False

    async def claim(self, claimer: Claimer, limit: int, accept: Callable[[list[Claim]], None]) -> int:
        """How many tasks were claimed and given to `accept`, at most `limit`. Raises `psycopg.OperationalError`."""
        async with self._lock:
            try:
                session = await self._open(claimer)
                claims = await claimer.claim(session, self._worker, limit)
            except BaseException:
                self._broken = True
                await self.close()
                raise
            accept(claims)
            return len(claims)

    async def settings(self, queues: Queues) -> None:
        """Read the queues' settings."""
        async with self._lock:
            if self._session is not None and not self._session.closed:
                cursor = await self._session.execute(sql(__package__, "queue_settings"))
                queues.settle(await cursor.fetchall())

    async def close(self) -> None:
        """Close the session."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _open(self, claimer: Claimer) -> Connection:
        if self._session is not None and not self._session.closed:
            return self._session
        self._session = await open_session(
            self._dsn, "opsplane task claims", f"{CHECK_INTERVAL} {CLAIM_PLAN}"
        )
        if self._broken:  # a claim may have been committed whose answer never came
            told = {"worker": self._worker, "tokens": self._held()}
            await self._session.execute(sql(__package__, "release_unknown"), told)
            claimer.forget()
            self._broken = False
        await claimer.settle(self._session)
        return self._session
