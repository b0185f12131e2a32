from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from opsplane.embedded import binaries
from opsplane.embedded.account import own_file, unprivileged
from opsplane.embedded.keys import CALLBACKS, ensure_keys
from opsplane.embedded.leftovers import kill_leftovers
from opsplane.embedded.places import Places
from opsplane.embedded.ports import LOOPBACK, free_ports, holder, is_free
from opsplane.errors import Conflict, InvalidInput, NotFound

VERSION = 1
DEFAULT_PORT = 8080
DATABASES = ("operations", "customer", "catalog", "order", "payment", "search")
BROKER_USERS = ("events", "service", "admin")
ROLES = ("gateway", "operations", "events", "worker", "customer", "catalog", "order", "payment", "search")
INTERNAL_PORTS = ("postgres", "valkey", *ROLES)


class NewerState(Conflict):
    """The state directory was written by a newer opsplane, which this one must not touch."""


class NotAnInstallation(Conflict):
    """The directory holds other things than an opsplane installation."""


class PortTaken(Conflict):
    """The public port is in use by another process."""


def read(state: Path) -> dict[str, Any]:
    """The installation document of `state`; raises `NotFound`, `NewerState` or `InvalidInput`."""
    path = state / "installation.json"
    if not path.is_file():
        raise NotFound(
            f"There is no installation in {state}.", remedy=f"Start one with: opsplane up --state {state}"
        )
    try:
        document = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        version = int(document["version"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path} is damaged: {error}.", remedy="Restore it from a backup.") from error
    if version > VERSION:
        raise NewerState(
            f"{state} was written by a newer opsplane (layout {version}, this one knows {VERSION}); nothing was changed.",
            remedy="Upgrade opsplane, or name another directory with --state.",
        )
    return document


def prepare(state: Path, port: int | None, gateway_yaml: str, events_yaml: str = "") -> dict[str, Any]:
    """The installation in `state` ready to be started, created where there is none yet.

    Passwords and ports stay what they were; an internal port that something else took meanwhile is
    replaced. `port` is the public one (default: as before, first 8080). `gateway_yaml` and `events_yaml` are
    written once and are the user's from then on. Raises before anything is changed. Hold the lock.
    """
    known = examine(state)
    kill_leftovers(state)
    public = port or (known["engines"]["envoy"]["port"] if known else DEFAULT_PORT)
    _require_free(public, state)
    account = unprivileged()
    state.mkdir(parents=True, exist_ok=True)  # whether engines reach it shows only when it is there
    places = Places.of(state, account)
    ports = _ports({} if known is None else known, public)
    document = _document(places, _secrets(known), ports)
    places.create(account)
    ensure_keys(places.path("keys"))
    if not places.path("gateway.yaml").exists():
        own_file(places.path("gateway.yaml"), gateway_yaml, None)
    if not places.path("events.yaml").exists():
        own_file(places.path("events.yaml"), events_yaml, None)
    own_file(places.path("installation.json"), json.dumps(document, indent=2) + "\n", None)
    return document


def examine(state: Path) -> dict[str, Any] | None:
    """The installation document of `state`, None where one can be made; raises where neither holds."""
    if (state / "installation.json").is_file():
        document = read(state)
        _require_known_postgres(state)
        return document
    strangers = [entry.name for entry in state.iterdir() if entry.name != "run"] if state.is_dir() else []
    if strangers:
        raise NotAnInstallation(
            f"{state} is not empty and holds no opsplane installation (found {', '.join(sorted(strangers)[:3])}).",
            remedy="Name an empty or new directory with --state.",
        )
    if state.exists() and not state.is_dir():
        raise NotAnInstallation(f"{state} is a file.", remedy="Name a directory with --state.")
    return None


def _require_known_postgres(state: Path) -> None:
    marker = state / "postgres" / "PG_VERSION"
    if marker.is_file() and int(marker.read_text()) != 18:
        raise NewerState(
            f"{state / 'postgres'} holds data of PostgreSQL {marker.read_text().strip()}, "
            "this opsplane runs PostgreSQL 18; nothing was changed.",
            remedy="Use the opsplane version that wrote it, or name another directory with --state.",
        )


def _require_free(port: int, state: Path) -> None:
    if not 0 < port < 65536:
        raise InvalidInput(f"Port {port} is not between 1 and 65535.", remedy="Try: make up PORT=8090")
    if not is_free(port):
        raise PortTaken(
            f"gateway: port {port} is taken by {holder(port)}.",
            remedy=f"Try: make up PORT={next(filter(is_free, range(8090, 8190)), 0)}",
            process="envoy",
            port=port,
            state=str(state),
        )


def _ports(known: Mapping[str, Any], public: int) -> dict[str, int]:
    """The port of every engine and role: the former one where it is still free, else a new one."""
    former = {name: entry["port"] for name, entry in known.get("listen", {}).items()}
    former |= {name: known["engines"][name]["port"] for name in ("postgres", "valkey") if known}
    kept = {name: former[name] for name in INTERNAL_PORTS if name in former and _usable(former[name], public)}
    wanted = [name for name in INTERNAL_PORTS if name not in kept]
    fresh = free_ports(len(wanted), without={public, *kept.values()})
    return {**kept, **dict(zip(wanted, fresh, strict=True)), "envoy": public}


def _usable(port: int, public: int) -> bool:
    return port != public and is_free(port)


def _secrets(known: Mapping[str, Any] | None) -> dict[str, Any]:
    """Every password of the installation: the known ones, new ones for what has none yet."""
    if known is None:
        known = {"databases": {}, "broker": {}, "engines": {}, "objects": {}}
    superuser = known["engines"].get("postgres", {}).get("superuser_dsn")
    return {
        "postgres": _password(superuser),
        "databases": {name: _password(known["databases"].get(name)) for name in DATABASES},
        "broker": {name: _password(known["broker"].get(name)) for name in BROKER_USERS},
        "signing_key": known["objects"].get("signing_key") or secrets.token_hex(32),
    }


def _password(url: str | None) -> str:
    return (urlsplit(url).password if url else None) or secrets.token_urlsafe(24)


def _document(places: Places, passwords: Mapping[str, Any], ports: Mapping[str, int]) -> dict[str, Any]:
    postgres, valkey = f"{LOOPBACK}:{ports['postgres']}", f"{LOOPBACK}:{ports['valkey']}"
    broker = {user: f"redis://{user}:{word}@{valkey}/0" for user, word in passwords["broker"].items()}
    return {
        "version": VERSION,
        "state": str(places.state),
        "engines": {
            "postgres": {
                "bin": str(binaries.postgres_bin()),
                "data": str(places.path("postgres")),
                "socket": str(places.sockets),
                "port": ports["postgres"],
                "superuser_dsn": f"postgresql://postgres:{passwords['postgres']}@{postgres}/postgres",
            },
            "valkey": {
                "bin": str(binaries.valkey_server()),
                "port": ports["valkey"],
                "socket": str(places.sockets / "valkey.sock"),
                "admin_url": broker["admin"],
            },
            "envoy": {
                "bin": str(binaries.envoy()),
                "admin_socket": str(places.sockets / "envoy-admin.sock"),
                "port": ports["envoy"],
            },
        },
        "databases": {
            name: f"postgresql://{name}:{word}@{postgres}/{name}"
            for name, word in passwords["databases"].items()
        },
        "broker": broker,
        "listen": {role: {"host": LOOPBACK, "port": ports[role]} for role in ROLES},
        "objects": {
            "url": places.path("objects").as_uri(),
            "bucket": "common-operations",
            "signing_key": passwords["signing_key"],
        },
        "identity": {
            "issuer": "opsplane",
            "audience": "opsplane",
            "private_key": str(places.path("keys", "issuer.pem")),
            "jwks": str(places.path("keys", "jwks.json")),
        },
        "gateway": {
            "file": str(places.path("gateway.yaml")),
            "directory": str(places.gateway),
            "public_url": f"http://{LOOPBACK}:{ports['envoy']}",
        },
        "events": {"file": str(places.path("events.yaml"))},
        "callbacks": {"secrets": str(places.path("keys", CALLBACKS))},
    }


def passwords_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The passwords in an installation document, by what they open."""
    return _secrets(document)
