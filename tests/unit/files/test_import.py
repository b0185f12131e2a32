"""Imports into a table: policies, what the database refuses, going on after an end in the middle."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest

from opsplane.database import Connection, Pool
from opsplane.files import (
    Entity,
    ImportOptions,
    ImportReport,
    LimitExceeded,
    Limits,
    TableSink,
    WorkCancelled,
    run_import,
)
from opsplane.files.ledger import ImportChanged
from opsplane.files.mapping import MappingRejected

HEADER = "sku,name,price,stock\n"
MIXED = HEADER + "A,Tea,1.50,3\nB,Tea,free,3\nC,forbidden,2,3\nD,Tea,2,99999999999\nE,Tea,3,\n"
SMALL = Limits(chunk_bytes=200, record_bytes=150)


class Importing:
    """Imports of one file under one task."""

    def __init__(self, pool: Pool, entity: Entity, place: Path) -> None:
        self.pool, self.entity, self.file = pool, entity, place / "in.csv"
        self.published: list[list[Any]] = []
        self.failing: Exception | None = None

    async def run(self, text: str, policy: str = "skip", *, task: str = "1", **options: Any) -> ImportReport:
        self.file.write_text(text, encoding="utf-8", newline="")
        sink = TableSink(self.pool, self.entity, task, on_chunk=self._on_chunk)
        chosen = ImportOptions(policy=policy, **options.pop("options", {}))  # type: ignore[arg-type]
        return await run_import(self.file, self.entity, sink, chosen, **options)

    async def rows(self) -> list[tuple[Any, ...]]:
        rows = await self.pool.fetch("select sku, name, price, stock, version from product order by sku")
        return [tuple(row.values()) for row in rows]

    async def count(self, table: str) -> int:
        row = await self.pool.fetch_one(f"select count(*) as n from {table}".encode())  # type: ignore[arg-type]
        return int(row["n"]) if row else 0

    async def _on_chunk(self, tx: Connection, keys: list[Any]) -> None:
        self.published.append(keys)
        if self.failing is not None and len(self.published) > 2:
            raise self.failing


@pytest.fixture
def importing(pool: Pool, product: Entity, tmp_path: Path) -> Importing:
    return Importing(pool, product, tmp_path)


def many(count: int) -> str:
    return HEADER + "".join(f"S-{number:03},Tea {number},1.5,{number}\n" for number in range(count))


def told(report: ImportReport) -> list[tuple[int, str, str]]:
    return [(one.line, one.reasons[0].column, one.reasons[0].code) for one in report.examples]


REFUSED = [(3, "price", "not_a_decimal"), (4, "", "check"), (5, "", "out_of_range")]


async def test_skip_applies_the_good_rows_and_finds_the_others(importing: Importing) -> None:
    report = await importing.run(MIXED)
    assert (report.outcome, report.total, report.applied, report.failed) == ("completed", 5, 2, 3)
    assert [row[0] for row in await importing.rows()] == ["A", "E"]
    assert told(report) == REFUSED
    assert report.reasons == {"check": 1, "not_a_decimal": 1, "out_of_range": 1}
    assert importing.published == [["A", "E"]]


async def test_abort_applies_none_when_the_checks_refuse_one(importing: Importing) -> None:
    report = await importing.run(MIXED, "abort")
    assert (report.outcome, report.applied, report.failed) == ("aborted", 0, 1)
    assert told(report) == REFUSED[:1]
    assert (await importing.rows(), await importing.count("import_staging")) == ([], 0)


async def test_abort_applies_none_when_the_database_refuses_one(importing: Importing) -> None:
    report = await importing.run(MIXED.replace("free", "1"), "abort")
    assert (report.outcome, report.applied, report.failed) == ("aborted", 0, 2)
    assert told(report) == REFUSED[1:]
    assert (await importing.rows(), await importing.count("import_staging")) == ([], 0)


async def test_abort_applies_all_good_rows(importing: Importing) -> None:
    report = await importing.run(many(50), "abort", limits=SMALL)
    assert (report.outcome, report.applied) == ("completed", 50)
    assert (len(await importing.rows()), await importing.count("import_staging")) == (50, 0)
    assert [key for keys in importing.published for key in keys] == [f"S-{n:03}" for n in range(50)]


async def test_validate_only_applies_none(importing: Importing) -> None:
    report = await importing.run(MIXED, "validate_only")
    assert (report.outcome, report.applied, told(report)) == ("validated", 0, REFUSED[:1])
    assert (await importing.rows(), importing.published) == ([], [])


async def test_every_refused_row_is_found_among_many(importing: Importing) -> None:
    text = HEADER + "".join(f"S-{n:04},{'forbidden' if n % 97 == 5 else 'Tea'},1,1\n" for n in range(1000))
    report = await importing.run(text)
    bad = [n for n in range(1000) if n % 97 == 5]
    rows = await importing.pool.fetch("select line from import_error order by line")
    assert [row["line"] for row in rows] == [n + 2 for n in bad]
    assert (report.applied, report.failed) == (1000 - len(bad), len(bad))
    assert await importing.count("product") == 1000 - len(bad)


async def test_equal_rows_are_left_and_different_ones_changed(importing: Importing) -> None:
    await importing.run(HEADER + "A,Tea,1,1\nB,Tea,1,1\n")
    report = await importing.run(HEADER + "A,Tea,1.00,1\nB,Coffee,1,1\nC,Tea,1,1\n", task="2")
    assert (report.applied, report.changed) == (3, 2)
    assert [(row[0], row[1], row[4]) for row in await importing.rows()] == [
        ("A", "Tea", 1), ("B", "Coffee", 2), ("C", "Tea", 1),
    ]  # fmt: skip


async def test_columns_the_file_does_not_have_stay_as_they_are(importing: Importing) -> None:
    await importing.run(HEADER + "A,Tea,1,7\n")
    await importing.run("sku,name,price\nA,Coffee,2\n", task="2")
    assert [row[:4] for row in await importing.rows()] == [("A", "Coffee", 2, 7)]


@pytest.mark.parametrize("policy", ["skip", "abort"])
async def test_an_import_goes_on_where_it_ended(importing: Importing, policy: str) -> None:
    importing.failing = ValueError("the handler broke")
    with pytest.raises(ValueError, match="broke"):
        await importing.run(many(50), policy, limits=SMALL)
    kept = await importing.count("product")
    assert 0 < kept < 50 if policy == "skip" else kept == 0
    importing.failing = None
    first = importing.published[:2] if policy == "skip" else []
    importing.published.clear()
    report = await importing.run(many(50), policy, limits=SMALL)
    assert (report.outcome, report.total, report.applied) == ("completed", 50, 50)
    published = [key for keys in (*first, *importing.published) for key in keys]
    assert published == [f"S-{n:03}" for n in range(50)], "each key once"
    assert {row[4] for row in await importing.rows()} == {1}


async def test_an_ended_import_does_nothing_again(importing: Importing) -> None:
    first = await importing.run(MIXED)
    await importing.pool.execute("delete from product")
    again = await importing.run(MIXED)
    assert (await importing.rows(), len(importing.published)) == ([], 1)
    assert (again.applied, again.failed, again.examples) == (first.applied, first.failed, first.examples)


async def test_a_cancelled_import_keeps_its_chunks_and_goes_on(importing: Importing) -> None:
    def enough() -> bool:
        return len(importing.published) == 2

    with pytest.raises(WorkCancelled):
        await importing.run(many(50), limits=SMALL, cancelled=enough)
    assert 0 < await importing.count("product") < 50
    report = await importing.run(many(50), limits=SMALL)
    assert (report.applied, await importing.count("product")) == (50, 50)


@pytest.mark.parametrize(
    ("text", "policy", "options"),
    [(many(49), "skip", {}), (many(50), "abort", {}), (many(50), "skip", {"mapping": {"stock": ""}})],
    ids=["file", "policy", "mapping"],
)
async def test_another_import_does_not_go_on_under_its_task(
    importing: Importing, text: str, policy: str, options: dict[str, Any]
) -> None:
    await importing.run(many(50))
    with pytest.raises(ImportChanged, match="Start a new import"):
        await importing.run(text, policy, options=options)
    assert await importing.count("product") == 50


async def test_two_importers_of_one_task_apply_each_row_once(importing: Importing, tmp_path: Path) -> None:
    text = many(200)
    (tmp_path / "second").mkdir()
    first, second = importing, Importing(importing.pool, importing.entity, tmp_path / "second")
    reports = await asyncio.gather(first.run(text, limits=SMALL), second.run(text, limits=SMALL))
    assert [(report.total, report.applied) for report in reports] == [(200, 200)] * 2
    published = sorted(key for one in (first, second) for keys in one.published for key in keys)
    assert published == [f"S-{n:03}" for n in range(200)]


async def test_a_fence_stops_every_transaction(importing: Importing) -> None:
    async def fence(tx: Connection) -> None:
        raise PermissionError("the task is another's")

    importing.file.write_text(many(5))
    sink = TableSink(importing.pool, importing.entity, "1", fence=fence)
    with pytest.raises(PermissionError):
        await run_import(importing.file, importing.entity, sink)
    assert (await importing.count("product"), await importing.count("import_run")) == (0, 0)


async def test_what_is_refused_at_once_leaves_nothing(importing: Importing) -> None:
    with pytest.raises(MappingRejected):
        await importing.run("sku,colour\nA,red\n")
    with pytest.raises(LimitExceeded):
        await importing.run(many(5), limits=Limits(rows=3))
    assert (await importing.count("product"), await importing.count("import_run")) == (0, 0)


async def test_an_error_of_no_row_is_raised_and_the_chunk_undone(importing: Importing) -> None:
    await importing.pool.execute("alter table product rename column stock to amount")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        await importing.run(many(5))
    assert await importing.count("import_ledger") == 0
    await importing.pool.execute("alter table product rename column amount to stock")
    assert (await importing.run(many(5))).applied == 5


async def test_rows_on_their_way_take_their_disk_space_once(importing: Importing) -> None:
    files: set[int] = set()

    async def look(tx: Connection, keys: list[Any]) -> None:
        row = await (await tx.execute("select pg_relation_filenode('import_rows') as file")).fetchone()
        assert row is not None
        files.add(row["file"])

    importing.file.write_text(many(50))
    sink = TableSink(importing.pool, importing.entity, "1", on_chunk=look)
    await run_import(importing.file, importing.entity, sink, ImportOptions(policy="abort"), limits=SMALL)
    assert len(files) == 1, "one transaction, many chunks, one file"
