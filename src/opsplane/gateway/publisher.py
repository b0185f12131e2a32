"""Publishing a snapshot: proven first, in an order that never lacks what routes need, read back, or undone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from opsplane.clock import SYSTEM, Clock
from opsplane.errors import OpsplaneError
from opsplane.gateway.admin import Admin, EnvoyUnreachable, Live
from opsplane.gateway.files import CLUSTERS, KEYS, LISTENERS, ROUTES, version_of, write_resources
from opsplane.gateway.journal import Journal
from opsplane.gateway.snapshot import EMPTY, Resources, Snapshot, digest, grown
from opsplane.gateway.validation import SnapshotRejected, validate
from opsplane.telemetry import counter, gauge, get_logger

log = get_logger("gateway")
_outcomes = counter("gateway_publications_total", "Snapshots offered to Envoy, by outcome.", ["outcome"])
_version = gauge(
    "gateway_config_version", "1 for the version of the configuration that is live.", ["version"]
)
POLL = 0.005


class PublicationFailed(OpsplaneError):
    """Envoy did not take a validated snapshot; the last good one is live again."""

    status = 503


class Publisher:
    """Publishes snapshots to the Envoy that reads `directory`; one at a time."""

    def __init__(
        self,
        directory: Path,
        admin_socket: Path,
        envoy: Path,
        *,
        clock: Clock = SYSTEM,
        deadline: float = 10.0,
    ) -> None:
        self._directory = directory
        self._socket = admin_socket
        self._envoy = envoy
        self._clock = clock
        self._deadline = deadline
        self._journal = Journal(directory)
        self._lock = asyncio.Lock()
        self.live: str | None = None

    async def publish(self, snapshot: Snapshot) -> bool:
        """Whether anything had to change to make `snapshot` live.

        Raises `SnapshotRejected` before anything was changed, `EnvoyUnreachable` when there is no Envoy to
        tell, `PublicationFailed` after the last good snapshot was put back.
        """
        async with self._lock, Admin(self._socket) as admin:
            if _serves(await admin.live(), snapshot) and not self._journal.interrupted:
                self._note(snapshot)
                return False
            try:
                await validate(snapshot, self._envoy)
            except SnapshotRejected:
                _outcomes.labels("rejected").inc()
                raise
            await self._replace(admin, snapshot)
            return True

    async def recover(self) -> None:
        """Put the last good snapshot back where a publication was interrupted by our death."""
        good = self._journal.good()
        if self._journal.interrupted and good is not None:
            log.warning("gateway.recovered", version=good.version)
            async with self._lock, Admin(self._socket) as admin:
                await self._apply(admin, good, EMPTY)
                self._journal.succeed(good)

    async def _replace(self, admin: Admin, snapshot: Snapshot) -> None:
        good = self._journal.good()
        self._journal.begin(snapshot)
        try:
            await self._apply(admin, snapshot, good or EMPTY)
        except (PublicationFailed, EnvoyUnreachable) as error:
            _outcomes.labels("rolled_back").inc()
            await self._undo(admin, good, snapshot, error)
            raise
        self._journal.succeed(snapshot)
        _outcomes.labels("live").inc()
        self._note(snapshot)
        log.info("gateway.published", version=snapshot.version)

    async def _apply(self, admin: Admin, new: Snapshot, old: Snapshot) -> None:
        """Grow what routes need, change the routes, then shrink: at no moment does a live route lack anything."""
        clusters, keys = grown(old, new)
        await self._write(admin, {CLUSTERS: clusters})
        if (await admin.live()).version(LISTENERS) in (None, "empty", digest([])):
            await self._write(admin, {KEYS: keys, ROUTES: new.routes, LISTENERS: new.listeners})
        else:
            await self._write(admin, {KEYS: keys})
            await self._write(admin, {ROUTES: new.routes})
            await self._write(admin, {LISTENERS: new.listeners})
        await self._write(admin, {KEYS: new.keys})
        await self._write(admin, {CLUSTERS: new.clusters})

    async def _write(self, admin: Admin, parts: dict[str, Resources]) -> None:
        """Write files and return when Envoy uses them."""
        before = await admin.live()
        versions = {file: digest(resources) for file, resources in parts.items()}
        for file, resources in parts.items():
            if version_of(self._directory / file) != versions[file] or before.version(file) != versions[file]:
                write_resources(self._directory / file, resources, versions[file])
        end = self._clock.monotonic() + self._deadline
        while True:
            now = await admin.live()
            if now.warm and all(now.version(file) == version for file, version in versions.items()):
                return
            refused = [file for file in versions if now.refusals(file) > before.refusals(file)]
            if refused:
                reason = await admin.refusal()
                raise PublicationFailed(f"Envoy refused {', '.join(refused)}: {reason}")
            if self._clock.monotonic() > end:
                raise PublicationFailed(
                    f"Envoy did not take {', '.join(versions)} within {self._deadline:g} s."
                )
            await self._clock.sleep(POLL)

    async def _undo(
        self, admin: Admin, good: Snapshot | None, failed: Snapshot, error: OpsplaneError
    ) -> None:
        """Put the last good snapshot back; an Envoy that is gone finds its files when it starts again."""
        log.error("gateway.rolled_back", version=failed.version, error=error.message)
        previous = good or EMPTY
        try:
            if good is not None:
                await self._apply(admin, good, failed)
            else:
                await self._write(admin, {LISTENERS: [], CLUSTERS: []})
        except (PublicationFailed, EnvoyUnreachable) as second:
            log.exception("gateway.rollback_unconfirmed", error=second.message)
            for file, resources in previous.parts.items():
                write_resources(self._directory / file, resources, digest(resources))
        if good is not None:
            self._journal.succeed(good)

    def _note(self, snapshot: Snapshot) -> None:
        self.live = snapshot.version
        _version.clear()
        _version.labels(snapshot.version).set(1)


def _serves(live: Live, snapshot: Snapshot) -> bool:
    return all(live.version(file) == digest(resources) for file, resources in snapshot.parts.items())
