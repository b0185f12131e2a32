from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from opsplane.embedded.child import Command
from opsplane.embedded.envoy import Bootstrap, Envoy
from opsplane.embedded.installation import passwords_of
from opsplane.embedded.postgres import Postgres
from opsplane.embedded.probes import answers
from opsplane.embedded.process import Process
from opsplane.embedded.switches import switched_off
from opsplane.embedded.valkey import Valkey

ENGINES = ("postgres", "valkey", "envoy")


def processes(
    document: Mapping[str, Any], roles: Mapping[str, tuple[str, ...]], bootstrap: Bootstrap
) -> list[Process]:
    """Every process of an installation: the three engines, and one Python process per entry of `roles`.

    `bootstrap(directory, admin_socket)` makes the configuration Envoy starts with.
    """
    state = Path(document["state"])
    return [
        _postgres(document, state),
        _valkey(document, state),
        _envoy(document, state, bootstrap),
        *(_python(document, state, name, members) for name, members in roles.items()),
    ]


def postgres_engine(document: Mapping[str, Any], log: Path) -> Postgres:
    """The PostgreSQL of an installation."""
    place = document["engines"]["postgres"]
    return Postgres(
        Path(place["data"]),
        port=place["port"],
        password=passwords_of(document)["postgres"],
        socket=Path(place["socket"]),
        log=log,
    )


def _postgres(document: Mapping[str, Any], state: Path) -> Process:
    log = state / "logs" / "postgres.log"
    engine = postgres_engine(document, log)
    return Process(
        name="postgres",
        kind="engine",
        remedy=_see_log("postgres", state),
        log=log,
        title="postgres 18",
        place=str(engine.data),
        prepare=engine.prepare,
        command=lambda _: engine.command(),
        ready=lambda _: engine.ready(),
        provision=lambda: engine.provision(passwords_of(document)["databases"]),
        stop_timeout=30.0,
    )


def _valkey(document: Mapping[str, Any], state: Path) -> Process:
    log, place = state / "logs" / "valkey.log", document["engines"]["valkey"]
    engine = Valkey(
        state / "valkey",
        port=place["port"],
        passwords=passwords_of(document)["broker"],
        unix_socket=Path(place["socket"]),
        log=log,
    )
    return Process(
        name="valkey",
        kind="engine",
        remedy=_see_log("valkey", state),
        log=log,
        title="valkey 9",
        place=str(engine.data),
        prepare=engine.prepare,
        command=lambda _: engine.command(),
        ready=lambda _: engine.ready(),
    )


def _envoy(document: Mapping[str, Any], state: Path, bootstrap: Bootstrap) -> Process:
    """Envoy is ready when it serves the public port, which waits for the gateway role where that runs."""
    log, place = state / "logs" / "envoy.log", document["engines"]["envoy"]
    engine = Envoy(
        Path(document["gateway"]["directory"]),
        admin_socket=Path(place["admin_socket"]),
        port=place["port"],
        log=log,
        bootstrap=bootstrap,
    )

    def ready(_: str) -> bool:
        return engine.live() if "gateway" in switched_off(state) else engine.ready()

    return Process(
        name="envoy",
        kind="engine",
        remedy=_see_log("envoy", state),
        log=log,
        title="gateway (Envoy)",
        place=document["gateway"]["public_url"],
        prepare=engine.prepare,
        command=lambda _: engine.command(),
        ready=ready,
    )


def _python(document: Mapping[str, Any], state: Path, name: str, members: tuple[str, ...]) -> Process:
    listen = document["listen"]
    return Process(
        name=name,
        kind="role",
        remedy=_see_log(name, state),
        log=state / "logs" / f"{name}.log",
        title=" · ".join(members),
        members=members,
        after=("postgres", "valkey"),
        urls={role: f"http://{listen[role]['host']}:{listen[role]['port']}" for role in members},
        command=_run_roles(state),
        ready=lambda role: answers(listen[role]["host"], listen[role]["port"], "/health/ready"),
    )


def _see_log(name: str, state: Path) -> str:
    return f"See more with: opsplane logs {name} --state {state}"


def _run_roles(state: Path) -> Callable[[tuple[str, ...]], Command]:
    def command(active: tuple[str, ...]) -> Command:
        argv = (sys.executable, "-P", "-m", "opsplane", "run", *active, "--state", str(state))
        return Command(argv=argv, directory=state, environment={"OPSPLANE_STATE": str(state)})

    return command
