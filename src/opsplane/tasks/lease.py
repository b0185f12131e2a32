"""A worker's lease: an advisory lock on a session of its own, free within milliseconds when the process dies.

A stopped process keeps its session and so its lease; a blocked event loop does, too, because lease and beat live in
a thread. Keys are (CLASS, worker number).
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from opsplane.database import sql
from opsplane.tasks.sessions import CHECK_INTERVAL, KEEPALIVE
from opsplane.telemetry import get_logger

log = get_logger("tasks")
CLASS = 0x6F707370  # "opsp"
BEAT = 1.0
_LOCK = "select pg_try_advisory_lock(%s, %s) as held"
SyncSession = psycopg.Connection[dict[str, Any]]


class Lease:
    """One registration of a worker: `take` it, watch `lost`, `leave` at the end."""

    def __init__(
        self, dsn: str, name: str, types: Sequence[str], slots: int, running: Callable[[], int]
    ) -> None:
        self._dsn = str.__str__(dsn)
        self._facts = {
            "name": name,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "types": list(types),
            "slots": slots,
        }
        self._running = running
        self._ended = threading.Event()
        self._reason: str | None = None
        self._thread: threading.Thread | None = None
        self.number = 0
        self.lost = asyncio.Event()
        self.stopping = False

    async def take(self) -> int:
        """The number of the worker, registered and locked."""
        loop = asyncio.get_running_loop()
        session = await asyncio.to_thread(self._register)
        self._thread = threading.Thread(
            target=self._keep, args=[session, loop], name="task lease", daemon=True
        )
        self._thread.start()
        return self.number

    async def leave(self, reason: str | None) -> None:
        """Give the lease up; with a reason the worker is noted as gone, without its tasks are left to the rescuer."""
        self._reason = reason
        self._ended.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, 5.0)

    def _connect(self) -> SyncSession:
        return psycopg.connect(
            self._dsn,
            autocommit=True,
            row_factory=dict_row,
            application_name="opsplane task lease",
            options=CHECK_INTERVAL,
            **KEEPALIVE,
        )

    def _register(self) -> SyncSession:
        session = self._connect()
        row = session.execute(sql(__package__, "register_worker"), self._facts).fetchone()
        self.number = row["number"] if row else 0
        session.execute(_LOCK, [CLASS, self.number])
        return session

    def _keep(self, session: SyncSession | None, loop: asyncio.AbstractEventLoop) -> None:
        present = True
        while present and not self._ended.wait(BEAT if session is not None else 0.05):
            try:
                if session is None:
                    session = self._retake()
                if session is not None:
                    present = self._beat(session)
            except psycopg.OperationalError as error:
                log.warning("tasks.lease_session_lost", worker=self.number, error=str(error).strip())
                session = None
                self._ended.wait(0.2)
        if not present:
            log.error("tasks.lease_lost", worker=self.number)
            loop.call_soon_threadsafe(self.lost.set)
        self._close(session)

    def _retake(self) -> SyncSession | None:
        """A session that holds the lock again; None while another holds it: the rescuer, for a moment."""
        session = self._connect()
        row = session.execute(_LOCK, [CLASS, self.number]).fetchone()
        if row and row["held"]:
            log.info("tasks.lease_retaken", worker=self.number)
            return session
        session.close()
        return None

    def _beat(self, session: SyncSession) -> bool:
        facts = {"number": self.number, "running": self._running(), "stopping": self.stopping}
        return session.execute(sql(__package__, "beat"), facts).fetchone() is not None

    def _close(self, session: SyncSession | None) -> None:
        if session is None:
            return
        try:
            if self._reason is not None:
                session.execute(
                    sql(__package__, "worker_left"), {"number": self.number, "reason": self._reason}
                )
            session.close()
        except psycopg.OperationalError as error:
            log.warning("tasks.lease_not_returned", worker=self.number, error=str(error).strip())
