"""Leases of consumers, kept by a thread of its own: a blocked event loop is not a dead process."""

from __future__ import annotations

import threading

import redis

from opsplane.telemetry import get_logger

log = get_logger("events")
LEASE_MS = 5000
RENEW_SECONDS = 1.0


class LeaseKeeper:
    """Renews the leases of this process's consumers every second."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._names: set[str] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closing = False

    def add(self, name: str) -> None:
        """Keep the lease of this name from now on."""
        with self._lock:
            self._names.add(name)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._renew_until_closed, name="consumer leases", daemon=True
                )
                self._thread.start()
        self._wake.set()

    def remove(self, name: str) -> None:
        """Stop keeping this lease; it ends with its time unless it is deleted."""
        with self._lock:
            self._names.discard(name)

    def close(self) -> None:
        """Stop the thread."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _renew_until_closed(self) -> None:
        with redis.Redis.from_url(self._url, socket_timeout=3, socket_connect_timeout=3) as client:
            while not self._closing:
                self._renew(client)
                self._wake.wait(RENEW_SECONDS)
                self._wake.clear()

    def _renew(self, client: redis.Redis) -> None:
        with self._lock:
            names = sorted(self._names)
        try:
            pipe = client.pipeline(transaction=False)
            for name in names:
                pipe.set(name, "1", px=LEASE_MS)
            pipe.execute()
            with self._lock:
                removed = set(names) - self._names  # while they were renewed
            if removed:
                client.delete(*removed)
        except redis.RedisError as error:
            log.warning("events.lease_not_renewed", error=str(error))
