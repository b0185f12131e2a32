"""An import killed again and again: each good row is written once, the error file has each bad row once.

A trigger counts the writes of each row, so that a chunk applied twice is seen although rows are merged by their key.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.faults.things import TWICE, Verdict, judge, number, prepare, written

from opsplane.database import Pool
from opsplane.files import open_store

ROOT = Path(__file__).parents[2]
SHORT, LONG = (60_000, 3), (300_000, 10)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = await Pool.open(database)
    await prepare(pool)
    yield pool
    await pool.close()


async def fill(place: Path, rows: int) -> None:
    store = open_store(place.as_uri(), "files", "00" * 32, "http://127.0.0.1")
    await store.put("in.csv", written(rows), "text/csv")


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
    return await number(pool, "select count(*) as n from import_ledger")


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


async def judged(pool: Pool, place: Path, rows: int) -> Verdict:
    return await judge(pool, rows, (place / "errors.out").read_bytes())


@pytest.mark.parametrize(("rows", "times"), [SHORT, pytest.param(*LONG, marks=pytest.mark.long)])
async def test_killed_again_and_again_every_row_is_applied_once(
    pool: Pool, tmp_path: Path, rows: int, times: int
) -> None:
    await fill(tmp_path, rows)
    report, kills = await killed(pool, tmp_path, times)
    missing, twice, exact = await judged(pool, tmp_path, rows)
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
    assert await judged(pool, tmp_path, 20_000) == (0, 0, True)


async def test_planted_without_the_ledger_rows_are_written_twice(pool: Pool, tmp_path: Path) -> None:
    await fill(tmp_path, SHORT[0])
    with begun(pool, tmp_path) as process:
        while await chunks(pool) == 0 and process.poll() is None:
            await asyncio.sleep(0.005)
    with begun(pool, tmp_path, "--unledgered"):
        await asyncio.sleep(3.0)
    assert await number(pool, TWICE) > 0
