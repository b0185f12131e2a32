"""An import killed again and again: each good row is written once, the error file has each bad row once.

A trigger counts the writes of each row, so that a chunk applied twice is seen although rows are merged by their key.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from opsplane.database import Pool, migrate
from opsplane.files import open_store

ROOT = Path(__file__).parents[2]
SHORT, LONG = (60_000, 3), (300_000, 10)
COUNTING = """
create table thing (code text primary key, amount numeric not null, name text not null);
create table written (code text not null);
create function note() returns trigger language plpgsql as
$$ begin insert into written values (new.code); return new; end $$;
create trigger noted before insert or update on thing for each row execute function note();
"""


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = await Pool.open(database)
    await migrate(pool, "files", "opsplane.files.migrations")
    async with pool.connection() as connection:
        await connection.execute(COUNTING.encode())
    yield pool
    await pool.close()


def is_bad(number: int) -> bool:
    return number % 100 == 7


async def fill(place: Path, rows: int) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["code", "amount", "name"])
    for number in range(rows):
        writer.writerow([f"c{number:07}", "-1" if is_bad(number) else f"{number}.25", f"Tee – 茶 “{number}”"])
    store = open_store(place.as_uri(), "files", "00" * 32, "http://127.0.0.1")
    await store.put("in.csv", text.getvalue().encode(), "text/csv")


@contextmanager
def begun(pool: Pool, place: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        sys.executable,
        "-m",
        "tests.faults.import_process",
        str.__str__(pool.dsn),
        str(place),
        *options,
    ]
    with subprocess.Popen(command, cwd=ROOT) as process:
        yield process
        process.kill()


async def chunks(pool: Pool) -> int:
    row = await pool.fetch_one("select count(*) as n from import_ledger")
    return int(row["n"]) if row else 0


async def killed(pool: Pool, place: Path, times: int) -> tuple[dict[str, int], int]:
    """The report of the process that came to the end, and how many were killed before it."""
    chance, kills = random.Random(times), 0
    while kills < times:
        known = await chunks(pool)
        with begun(pool, place) as process:
            while process.poll() is None and await chunks(pool) <= known:
                await asyncio.sleep(0.005)
            await asyncio.sleep(chance.random() * 0.03)
            if process.poll() is not None:
                break
            kills += 1
    with begun(pool, place) as process:
        await asyncio.to_thread(process.wait)
    return json.loads((place / "report.json").read_text()), kills


async def judge(pool: Pool, place: Path, rows: int) -> tuple[int, int, bool]:
    """Good rows missing, rows written twice, whether the error file has exactly the bad lines."""
    good = sum(not is_bad(number) for number in range(rows))
    there = await pool.fetch_one("select count(*) as n from thing")
    twice = await pool.fetch_one(
        "select count(*) as n from (select from written group by code having count(*) > 1) as twice"
    )
    table = list(csv.reader(io.StringIO((place / "errors.out").read_text("utf-8-sig"))))
    codes = [cell for line in table[1:] for cell in line if cell.startswith("c0")]
    exact = codes == [f"c{number:07}" for number in range(rows) if is_bad(number)]
    assert there is not None
    assert twice is not None
    return good - int(there["n"]), int(twice["n"]), exact


@pytest.mark.parametrize(("rows", "times"), [SHORT, pytest.param(*LONG, marks=pytest.mark.long)])
async def test_killed_again_and_again_every_row_is_applied_once(
    pool: Pool, tmp_path: Path, rows: int, times: int
) -> None:
    await fill(tmp_path, rows)
    report, kills = await killed(pool, tmp_path, times)
    missing, twice, exact = await judge(pool, tmp_path, rows)
    print(
        f"\nimport of {rows} rows killed {kills} times: {missing} missing, {twice} twice, error file exact: {exact}"
    )
    assert kills > 0
    assert report == {"total": rows, "failed": rows // 100, "applied": rows - rows // 100}
    assert (missing, twice, exact) == (0, 0, True)


async def test_control_undisturbed(pool: Pool, tmp_path: Path) -> None:
    await fill(tmp_path, 20_000)
    report, kills = await killed(pool, tmp_path, 0)
    assert (report["applied"], kills) == (19_800, 0)
    assert await judge(pool, tmp_path, 20_000) == (0, 0, True)


async def test_planted_without_the_ledger_rows_are_written_twice(pool: Pool, tmp_path: Path) -> None:
    await fill(tmp_path, SHORT[0])
    with begun(pool, tmp_path) as process:
        while await chunks(pool) == 0 and process.poll() is None:
            await asyncio.sleep(0.005)
    with begun(pool, tmp_path, "--unledgered"):
        await asyncio.sleep(3.0)
    twice = await pool.fetch_one(
        "select count(*) as n from (select from written group by code having count(*) > 1) as twice"
    )
    assert twice is not None
    assert twice["n"] > 0
