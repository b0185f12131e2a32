from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsplane.embedded import Postgres, Valkey
from opsplane.embedded.ports import free_ports


@pytest.fixture
def engine(engine_directory: Path) -> Iterator[Valkey]:
    """A broker of this experiment's own, as every installation has it."""
    passwords = dict.fromkeys(("events", "service", "admin"), secrets.token_urlsafe(8))
    place = engine_directory / f"valkey-{secrets.token_hex(4)}"
    found = Valkey(place, port=free_ports(1)[0], passwords=passwords, log=place.with_suffix(".log"))
    found.start()
    yield found
    found.stop()


@pytest.fixture
def settings() -> dict[str, str]:
    """Settings of the experiment's own PostgreSQL that are not an installation's: none."""
    return {}


@pytest.fixture
def server(engine_directory: Path, settings: dict[str, str]) -> Iterator[Postgres]:
    """A PostgreSQL of this experiment's own."""
    place = engine_directory / f"postgres-{secrets.token_hex(4)}"
    found = Postgres(
        place,
        port=free_ports(1)[0],
        password=secrets.token_urlsafe(8),
        log=place.with_suffix(".log"),
        settings=settings,
    )
    found.start()
    yield found
    found.stop()
