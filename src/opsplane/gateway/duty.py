"""The duty that keeps Envoy in step with `gateway.yaml`: a good file goes live, a bad one changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from opsplane.errors import InvalidInput, OpsplaneError, Unavailable
from opsplane.gateway.admin import Admin, EnvoyUnreachable
from opsplane.gateway.document import GatewayConfig
from opsplane.gateway.log_file import link, prepare_access_log, rotated
from opsplane.gateway.parsing import parse
from opsplane.gateway.publisher import PublicationFailed, Publisher
from opsplane.gateway.snapshot import Place
from opsplane.gateway.translator import Endpoints, translate
from opsplane.resilience import Backoff, Stop
from opsplane.telemetry import gauge, get_logger

log = get_logger("gateway")
_errors = gauge("gateway_config_errors", "Reasons why the gateway's file as it is now is not live.")
LOOK = 0.1
Stamp = tuple[tuple[int, int, int] | None, ...]


class GatewayDuty:
    """Publishes `file` at the start and whenever it or a key set changes, until told to stop.

    `config_error` is None while what is in the file is live, else why it is not; `config` is what is live.
    """

    name = "gateway"

    def __init__(
        self,
        file: Path,
        publisher: Publisher,
        place: Place,
        *,
        services: Mapping[str, Sequence[str]],
        endpoints: Endpoints,
        jwks: Path,
        admin_socket: Path,
        log_link: Path | None = None,
    ) -> None:
        self._file = file
        self._publisher = publisher
        self._place = place
        self._services = services
        self._endpoints = endpoints
        self._jwks = jwks
        self._admin_socket = admin_socket
        self._log_link = log_link
        self._seen: Stamp | None = None
        self._key_files: tuple[Path, ...] = (jwks,)
        self.config: GatewayConfig | None = None
        self.config_error: OpsplaneError | None = None

    async def run(self, stop: Stop) -> None:
        """Watch and publish until `stop`."""
        prepare_access_log(self._place.access_log)
        if self._log_link is not None:
            link(self._place.access_log, self._log_link)
        await self._until_envoy_answers(stop)
        failures = 0
        while not stop.is_set():
            stamp = self._stamp()
            if stamp != self._seen:
                again = await self._bring_live()
                failures = failures + 1 if again else 0
                self._seen = None if again else stamp
            await self._rotate()
            await stop.wait(Backoff(0.2, 5.0).delay(failures) if failures else LOOK)

    async def check(self) -> None:
        """Return while Envoy serves a configuration of ours, whether or not the file has become bad since."""
        if self._publisher.live is None:
            reason = self.config_error.message if self.config_error else "Envoy was not reached yet."
            raise Unavailable(f"No gateway configuration is live: {reason}")

    async def _until_envoy_answers(self, stop: Stop) -> None:
        while not stop.is_set():
            try:
                await self._publisher.recover()
            except EnvoyUnreachable as error:
                self._note(error)
                await stop.wait(LOOK)
            else:
                return

    async def _bring_live(self) -> bool:
        """Publish what the file says; whether to try again although the file stays as it is."""
        try:
            config = self._read()
            await self._publisher.publish(translate(config, self._endpoints, self._keys(config), self._place))
        except (EnvoyUnreachable, PublicationFailed) as error:
            self._note(error)
            return True
        except InvalidInput as error:
            self._note(error)
            return False
        self.config = config
        self._note(None)
        return False

    def _read(self) -> GatewayConfig:
        try:
            text = self._file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(
                f"{self._file} cannot be read: {error}.", remedy="Restore the file."
            ) from error
        return parse(text, str(self._file), services=self._services)

    def _keys(self, config: GatewayConfig) -> dict[str, Any]:
        """The key set of each issuer: its own file beside gateway.yaml, else the platform's."""
        paths = {
            name: self._file.parent / issuer.jwks if issuer.jwks else self._jwks
            for name, issuer in config.issuers.items()
        }
        self._key_files = (self._jwks, *sorted({*paths.values()} - {self._jwks}))
        return {name: _key_set(name, path) for name, path in paths.items()}

    def _stamp(self) -> Stamp:
        return tuple(_stamp(path) for path in (self._file, *self._key_files))

    def _note(self, error: OpsplaneError | None) -> None:
        violations = error.violations if isinstance(error, InvalidInput) else []
        known = self.config_error
        same = (
            known is not None and str(known) == str(error) and getattr(known, "violations", []) == violations
        )
        if error is not None and not same:
            log.error(
                "gateway.not_live", error=error.message, violations=violations, serving=self._publisher.live
            )
        self.config_error = error
        _errors.set(0 if error is None else max(1, len(violations)))

    async def _rotate(self) -> None:
        if rotated(self._place.access_log):
            try:
                async with Admin(self._admin_socket) as admin:
                    await admin.reopen_logs()
            except EnvoyUnreachable as error:
                log.warning("gateway.log_not_reopened", error=error.message)


def _key_set(name: str, path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"The keys of issuer `{name}` cannot be read from {path}: {error}.", remedy="Restore the file."
        ) from error


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
