"""Every setting, frozen and read once; the only reader of the environment and of settings files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import yaml

from opsplane.errors import InvalidInput, NotFound

VERSION = 1


class Secret(str):
    """A string that never prints itself; `reveal()` gives the value to the one place that needs it."""

    __slots__ = ()

    def reveal(self) -> str:
        """The value."""
        return str.__str__(self)

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "…"

    def __format__(self, spec: str) -> str:
        return "…"


class PostgresEngine(msgspec.Struct, frozen=True):
    """Where the embedded PostgreSQL lives."""

    bin: str
    data: str
    socket: str
    port: int
    superuser_dsn: Secret


class ValkeyEngine(msgspec.Struct, frozen=True):
    """Where the embedded Valkey lives."""

    bin: str
    port: int
    socket: str
    admin_url: Secret


class EnvoyEngine(msgspec.Struct, frozen=True):
    """Where the gateway's data plane lives; `port` is the public HTTP port."""

    bin: str
    admin_socket: str
    port: int


class Engines(msgspec.Struct, frozen=True):
    """The engines of an embedded installation."""

    postgres: PostgresEngine
    valkey: ValkeyEngine
    envoy: EnvoyEngine


class BrokerUrls(msgspec.Struct, frozen=True):
    """One broker URL for each access right: the events role, services, operators.

    `allow_vulnerable` accepts a server version with a known critical hole.
    """

    events: Secret
    service: Secret
    admin: Secret
    allow_vulnerable: bool = False


class Address(msgspec.Struct, frozen=True):
    """Where a role serves HTTP."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """`http://host:port`."""
        return f"http://{self.host}:{self.port}"


class Objects(msgspec.Struct, frozen=True):
    """The object store: `file:///…` or `s3://…`, its bucket and the key that signs local URLs."""

    url: str
    bucket: str
    signing_key: Secret


class Identity(msgspec.Struct, frozen=True):
    """The platform's own token issuer."""

    issuer: str
    audience: str
    private_key: str
    jwks: str


class Gateway(msgspec.Struct, frozen=True):
    """The gateway's file of wishes, the directory Envoy reads and the URL clients use."""

    file: str
    directory: str
    public_url: str


class Events(msgspec.Struct, frozen=True):
    """The file of wishes about topics; relative to the state directory."""

    file: str = "events.yaml"


class Worker(msgspec.Struct, frozen=True):
    """How the worker role runs tasks."""

    slots: int = 16


class Callbacks(msgspec.Struct, frozen=True):
    """How finished tasks are told to their callbacks: the file of signing secrets, relative to the state directory.

    `http` allows plain HTTP (and port 80), `ports` may be named in URLs, `allow` are networks, addresses and hosts that
    are not public and may be called all the same.
    """

    secrets: str = "keys/callbacks.txt"
    http: bool = False
    ports: list[int] = msgspec.field(default_factory=lambda: [443])
    allow: list[str] = msgspec.field(default_factory=list)


class Logs(msgspec.Struct, frozen=True):
    """How much is logged: `debug`, `info`, `warning` or `error`."""

    level: str = "info"


class Settings(msgspec.Struct, frozen=True):
    """One installation, as every process of it sees it."""

    version: int
    state: str
    engines: Engines
    databases: dict[str, Secret]
    broker: BrokerUrls
    listen: dict[str, Address]
    objects: Objects
    identity: Identity
    gateway: Gateway
    events: Events = Events()
    worker: Worker = Worker()
    callbacks: Callbacks = Callbacks()
    logs: Logs = Logs()

    @property
    def events_file(self) -> Path:
        """Where events.yaml is."""
        return Path(self.state) / self.events.file

    @property
    def callback_secrets(self) -> Path:
        """Where the secrets that sign callbacks are."""
        return Path(self.state) / self.callbacks.secrets


def state_directory(given: str | None = None) -> Path:
    """The installation meant: the given one, else `OPSPLANE_STATE`, else `.opsplane` here."""
    return Path(given or os.environ.get("OPSPLANE_STATE") or ".opsplane").absolute()


def debugging() -> bool:
    """Whether `OPSPLANE_DEBUG` asks for tracebacks instead of messages."""
    return os.environ.get("OPSPLANE_DEBUG", "") not in ("", "0")


def load(state: Path) -> Settings:
    """The settings of the installation in `state`: `installation.json`, then `opsplane.yaml` over it.

    Raises `NotFound` when nothing was installed there and `InvalidInput` when a file does not fit.
    """
    path = state / "installation.json"
    if not path.is_file():
        raise NotFound(
            f"There is no installation in {state}.", remedy=f"Start one with: opsplane up --state {state}"
        )
    document: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    if document.get("version", 0) > VERSION:
        raise InvalidInput(
            f"{path} was written by a newer opsplane (layout {document['version']}, this one knows {VERSION}).",
            remedy="Upgrade opsplane, or name another directory with --state.",
        )
    overrides = state / "opsplane.yaml"
    if overrides.is_file():
        document = _merged(document, _overrides(overrides))
    try:
        return msgspec.convert(document, Settings, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"{path}: {error}.", remedy="Correct it, or restore the file from a backup."
        ) from error


def _overrides(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise InvalidInput(f"{path} is not YAML: {error}", remedy="Correct the file.") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(f"{path} must be a mapping.", remedy="See docs/reference/settings.md.")
    unknown = sorted(set(value) - set(Settings.__struct_fields__))
    if unknown:
        raise InvalidInput(
            f"{path}: unknown settings {', '.join(unknown)}.",
            remedy=f"Known ones are: {', '.join(Settings.__struct_fields__)}.",
        )
    return value


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = _merged(base[key], value) if nested else value
    return result


def _decode(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"expected {kind.__name__}")
