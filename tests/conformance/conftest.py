from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from tests.conformance.servers import SERVERS, VULNERABLE, Server, binary, without

from opsplane.embedded import Valkey
from opsplane.embedded.ports import free_ports
from opsplane.embedded.valkey import USERS
from opsplane.events import Broker, connect


@pytest.fixture(scope="session")
def servers(engine_directory: Path) -> Iterator[Callable[[str], Valkey]]:
    """Gives the running server of a name, started when first asked for; skips where there is none."""
    running: dict[str, Valkey] = {}

    def started(name: str) -> Valkey:
        if name not in running:
            found = binary(name)
            if isinstance(found, str):
                pytest.skip(found)
            place = engine_directory / name.replace(" ", "-")
            engine = Server(
                found,
                place,
                without=without(name),
                port=free_ports(1)[0],
                passwords={user: secrets.token_urlsafe(16) for user in USERS},
                log=place.with_suffix(".log"),
            )
            engine.start()
            running[name] = engine
        return running[name]

    yield started
    for engine in running.values():
        engine.stop()


@pytest.fixture(params=SERVERS)
def server(request, servers) -> Valkey:
    """Each server in turn, empty."""
    engine = servers(request.param)
    with redis.Redis.from_url(engine.url("admin")) as client:
        client.flushall()
    return engine


@pytest.fixture
def brokers(request, server) -> Callable[[str], Broker]:
    """Connects to the server with the rights of a user; a hole that is known there is allowed."""
    vulnerable = request.node.callspec.params["server"] in VULNERABLE
    return lambda user: connect(server.url(user), allow_vulnerable=vulnerable)
