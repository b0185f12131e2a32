from __future__ import annotations

import logging
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import structlog

from opsplane.embedded import Postgres, Valkey
from opsplane.embedded.ports import free_ports
from opsplane.testing import fresh_database, postgres_server


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Commands and processes configure logging; a stream of one test is closed when the next one logs."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def engine_directory() -> Iterator[Path]:
    """A directory of this test run for the engines' data, outside pytest's own private one."""
    path = Path(tempfile.mkdtemp(prefix="opsplane-test-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL with real durability; `superuser_dsn` is its administrator's URL."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The DSN of a fresh database, owned by a role that is no superuser; both are dropped after the test."""
    with fresh_database(postgres) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def valkey_engine(engine_directory: Path) -> Iterator[Valkey]:
    """A running Valkey; `url("events" | "service" | "admin")` gives each user's URL."""
    passwords = {user: secrets.token_urlsafe(16) for user in ("events", "service", "admin")}
    engine = Valkey(
        engine_directory / "valkey",
        port=free_ports(1)[0],
        passwords=passwords,
        log=engine_directory / "valkey.log",
    )
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def valkey(valkey_engine: Valkey) -> str:
    """The URL of the running Valkey's admin user."""
    return valkey_engine.url("admin")


@pytest.fixture
def broker_url(valkey: str) -> Iterator[str]:
    """The admin URL of a Valkey that is empty before the test."""
    with redis.Redis.from_url(valkey) as client:
        client.flushall()
        yield valkey
