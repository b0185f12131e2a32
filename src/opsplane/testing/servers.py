"""A PostgreSQL for tests: a real one with real durability, a fresh database for each test."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from opsplane.embedded import Postgres
from opsplane.embedded.ports import free_ports

SETTINGS = {"shared_buffers": "64MB", "max_wal_size": "256MB"}


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A running PostgreSQL of its own, which is gone with its data when the block ends."""
    place = Path(tempfile.mkdtemp(prefix="opsplane-test-"))
    engine = Postgres(
        place / "postgres",
        port=free_ports(1)[0],
        password=secrets.token_urlsafe(16),
        log=place / "postgres.log",
        settings=SETTINGS,
    )
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()
        shutil.rmtree(place)


@contextmanager
def fresh_database(server: Postgres) -> Iterator[str]:
    """The DSN of an empty database, owned by a role that is no superuser; both are dropped when the block ends."""
    name = f"test_{secrets.token_hex(6)}"
    server.provision({name: name})
    try:
        yield server.dsn(name, name, name)
    finally:
        with psycopg.connect(server.superuser_dsn, autocommit=True) as connection:
            known, viewer = sql.Identifier(name), sql.Identifier(f"{name}_viewer")
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(known))
            connection.execute(sql.SQL("drop role if exists {}, {}").format(known, viewer))
