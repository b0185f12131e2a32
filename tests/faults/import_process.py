"""An import to be killed: reads a csv file into the table `thing`, going on where an earlier process stopped.

`--unledgered` plants a defect: a chunk is applied whether or not the ledger has it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from opsplane.database import Pool
from opsplane.files import (
    Column,
    Entity,
    ImportOptions,
    Limits,
    StoredObject,
    TableSink,
    ledger,
    open_store,
    run_import,
)

THING = Entity(
    name="thing",
    table="thing",
    columns=(
        Column("code", key=True),
        Column("amount", "decimal", required=True, min="0"),
        Column("name", required=True, max_length=1000),
    ),
)


def unledger() -> None:
    """The planted defect: the process begins at the start of the file and applies what is applied already."""

    async def claim(self: ledger.Ledger, tx: object, chunk: object) -> bool:
        return True

    async def refuse(self: ledger.Ledger, tx: object, rows: object) -> None:
        return None

    vars(ledger)["_state"] = lambda _row: ledger.State()
    ledger.Ledger.claim = claim  # type: ignore[assignment, method-assign]
    ledger.Ledger.refuse = refuse  # type: ignore[assignment, method-assign]


async def main(dsn: str, place: str) -> None:
    store = open_store(Path(place).as_uri(), "files", "00" * 32, "http://127.0.0.1")
    pool = await Pool.open(dsn)
    try:
        report = await run_import(
            StoredObject(store, "in.csv"),
            THING,
            TableSink(pool, THING, "00000000-0000-7000-8000-000000000001"),
            ImportOptions(policy="skip"),
            limits=Limits(chunk_bytes=256 << 10),
            errors=StoredObject(store, "errors.csv"),
        )
        told = {"total": report.total, "failed": report.failed, "applied": report.applied}
        (Path(place) / "report.json").write_text(json.dumps(told))
        (Path(place) / "errors.out").write_bytes(await store.read("errors.csv"))
    finally:
        await pool.close()


if __name__ == "__main__":
    if "--unledgered" in sys.argv:
        unledger()
    asyncio.run(main(sys.argv[1], sys.argv[2]))
