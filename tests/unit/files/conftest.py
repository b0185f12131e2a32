from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opsplane.database import Pool, migrate
from opsplane.files import Column, Entity, LocalStore

PRODUCT = Entity(
    "product",
    "product",
    (
        Column("sku", key=True, pattern="[A-Z0-9-]+", max_length=40),
        Column("name", required=True, max_length=200),
        Column("price", "decimal", required=True, min="0", max="1000000", scale=2),
        Column("currency", currency=True, default="EUR"),
        Column("stock", "int", min=0),
        Column("active", "bool"),
        Column("since", "date", min="1990-01-01"),
        Column("seenAt", "timestamp", column="seen_at"),
        Column("kind", enum=("book", "toy")),
        Column("facts", "json"),
        Column("version", "int", generated=True),
    ),
    on_update={"version": "target.version + 1"},
)
TABLE = """
CREATE TABLE product (
    sku text PRIMARY KEY, name text NOT NULL CHECK (name <> 'forbidden'), price numeric(12, 2) NOT NULL,
    currency text, stock integer, active boolean, since date, seen_at timestamptz, kind text, facts jsonb,
    version integer NOT NULL DEFAULT 1
)
"""


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    """A database with the import tables and a table `product`."""
    pool = await Pool.open(database, max_size=6)
    await migrate(pool, "files", "opsplane.files.migrations")
    await pool.execute(TABLE)
    yield pool
    await pool.close()


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """An empty local store."""
    return LocalStore(tmp_path / "objects", "common-operations", "secret", "http://files.test")


@pytest.fixture
def product() -> Entity:
    """The entity that fits the table."""
    return PRODUCT
