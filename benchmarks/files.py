"""Files: csv import and export of one table, against PostgreSQL's own COPY of the same rows in the same run."""

from __future__ import annotations

import asyncio
import csv
import io
import secrets
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from opsplane.database import Pool, migrate
from opsplane.embedded import Postgres
from opsplane.embedded.ports import free_ports
from opsplane.files import (
    Column,
    Entity,
    ImportOptions,
    ObjectStore,
    Selection,
    StoredObject,
    TableSink,
    open_store,
    run_export,
    run_import,
)
from opsplane.telemetry import configure_logging

ROWS, ROUNDS = 300_000, 3
GOALS = {"import_share_of_copy": 0.5, "export_share_of_copy": 0.9}
THING = Entity(
    name="thing",
    table="thing",
    columns=(
        Column("code", key=True),
        Column("amount", "decimal", required=True, min="0"),
        Column("quantity", "int", required=True, min=0),
        Column("name", required=True, max_length=100),
    ),
)
TABLE = "create table thing (code text primary key, amount numeric not null, quantity int not null, name text not null)"


def run() -> dict[str, Any]:
    """Rows a second of both, and ours as a share of COPY's."""
    configure_logging("bench", level="error")
    with tempfile.TemporaryDirectory(prefix="opsplane-bench-files-") as home:
        Path(home).chmod(0o755)
        return uvloop.run(_with_engine(Path(home)))


async def _with_engine(home: Path) -> dict[str, Any]:
    password = secrets.token_urlsafe(8)
    postgres = Postgres(
        home / "postgres", port=free_ports(1)[0], password=password, log=home / "postgres.log"
    )
    await asyncio.to_thread(postgres.start)
    try:
        postgres.provision({"bench": "bench"})
        pool = await Pool.open(postgres.dsn("bench", "bench", "bench"), timeout=60.0)
        try:
            return await _measure(pool, open_store(home.as_uri(), "files", "00" * 32, "http://127.0.0.1"))
        finally:
            await pool.close()
    finally:
        await asyncio.to_thread(postgres.stop)


async def _measure(pool: Pool, store: ObjectStore) -> dict[str, Any]:
    await migrate(pool, "files", "opsplane.files.migrations")
    await pool.execute(TABLE)
    content = _content()
    await store.put("in.csv", content, "text/csv")
    rounds: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        parts: dict[str, Callable[[], Awaitable[object]]] = {
            "import": lambda number=number: _import(pool, store, number),
            "export": lambda: run_export(pool, THING, StoredObject(store, "out.csv"), Selection()),
            "copy out": lambda: _copy_out(pool),
            "copy in and merge": lambda: _copy_in(pool, content),
        }
        for name, part in parts.items():
            if name in {"import", "copy in and merge"}:
                await pool.execute("truncate thing")
            began = time.perf_counter()
            await part()
            rounds.setdefault(name, []).append(time.perf_counter() - began)
    found = {name: statistics.median(seconds) for name, seconds in rounds.items()}
    figures = {f"{name.replace(' ', '_')}_rows_per_s": ROWS / seconds for name, seconds in found.items()}
    figures["import_share_of_copy"] = found["copy in and merge"] / found["import"]
    figures["export_share_of_copy"] = found["copy out"] / found["export"]
    return {
        "figures": {name: round(value, 2) for name, value in figures.items()},
        "goals": GOALS,
        "notes": [
            f"{ROWS} rows, {len(content) >> 20} MiB; import checks every cell and keeps a ledger.",
            "The peer is COPY into a staging table and one INSERT … ON CONFLICT; COPY (SELECT …) TO STDOUT.",
        ],
    }


async def _import(pool: Pool, store: ObjectStore, number: int) -> None:
    sink = TableSink(pool, THING, f"00000000-0000-7000-8000-00000000000{number}")
    source, errors = StoredObject(store, "in.csv"), StoredObject(store, "errors.csv")
    report = await run_import(source, THING, sink, ImportOptions(policy="skip"), errors=errors)
    if report.applied != ROWS:
        raise RuntimeError(f"{report.applied} of {ROWS} rows were applied")


async def _copy_in(pool: Pool, content: bytes) -> None:
    async with pool.transaction() as tx:
        await tx.execute("create temp table staging (like thing) on commit drop")
        async with tx.cursor().copy("copy staging from stdin (format csv, header)") as copy:
            await copy.write(content)
        await tx.execute(
            "insert into thing select * from staging on conflict (code) do update set amount = excluded.amount, "
            "quantity = excluded.quantity, name = excluded.name"
        )


async def _copy_out(pool: Pool) -> None:
    async with (
        pool.connection() as connection,
        connection.cursor().copy("copy (select * from thing order by code) to stdout (format csv)") as copy,
    ):
        async for _ in copy:
            pass


def _content() -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["code", "amount", "quantity", "name"])
    writer.writerows(
        [f"c{number:07}", f"{number}.25", number % 50, f"Tee – 茶 “{number}”"] for number in range(ROWS)
    )
    return text.getvalue().encode()
