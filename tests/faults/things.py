"""What the import experiments import, and how they judge what became of it.

A trigger counts the writes of each row, so that a chunk applied twice is seen although rows are merged by their key.
"""

from __future__ import annotations

import csv
import io
import random
from typing import NamedTuple

from opsplane.database import Pool, migrate

COUNTING = """
create table thing (code text primary key, amount numeric not null, name text not null);
create table written (code text not null);
create function note() returns trigger language plpgsql as
$$ begin insert into written values (new.code); return new; end $$;
create trigger noted before insert or update on thing for each row execute function note();
"""
TWICE = "select count(*) as n from (select from written group by code having count(*) > 1) as twice"


class Verdict(NamedTuple):
    """Good rows that are not there, rows written twice, and whether the error file has exactly the bad ones."""

    missing: int
    twice: int
    exact: bool


async def prepare(pool: Pool) -> None:
    """The tables of the experiment."""
    await migrate(pool, "files", "opsplane.files.migrations")
    async with pool.connection() as connection:
        await connection.execute(COUNTING.encode())


def is_bad(number: int) -> bool:
    return number % 100 == 7


def written(rows: int, *, padding: int = 0, bad: bool = True) -> bytes:
    """A csv file of so many things, each with `padding` bytes that do not compress well."""
    chance, text = random.Random(rows), io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["code", "amount", "name"])
    for number in range(rows):
        amount = "-1" if bad and is_bad(number) else f"{number}.25"
        name = f"Tee – 茶 “{number}”" + chance.randbytes(padding // 2).hex()
        writer.writerow([f"c{number:07}", amount, name])
    return text.getvalue().encode()


async def number(pool: Pool, statement: str) -> int:
    row = await pool.fetch_one(statement.encode())  # type: ignore[arg-type]
    return int(row["n"]) if row else 0


async def judge(pool: Pool, rows: int, errors: bytes | None) -> Verdict:
    """The verdict on an import of `written(rows)`; without bad rows there is no error file."""
    bad = [f"c{number:07}" for number in range(rows) if errors is not None and is_bad(number)]
    there = await number(pool, "select count(*) as n from thing")
    table = list(csv.reader(io.StringIO((errors or b"").decode("utf-8-sig"))))
    told = [cell for line in table[1:] for cell in line if cell.startswith("c0")]
    return Verdict(rows - len(bad) - there, await number(pool, TWICE), told == bad)
