"""The file of refused rows: what stood in each, where and why; corrected, it is imported as it is."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from opsplane.database import Pool
from opsplane.files import (
    Entity,
    ImportOptions,
    ImportReport,
    LocalStore,
    StoredObject,
    TableSink,
    run_import,
)

TEXT = (
    "sku;name;price;Remark\n"
    'A;"Tea ""green"";\n茶";1.5;fine\n'
    "B;=1+1;free;-2\n"
    "C;forbidden;2;\n"
    "c;;0.001;x\n"
    'D;"open;1;\n'
    "E;Tea;1;a;b\n"
)
OPTIONS = ImportOptions(mapping={"Remark": ""}, policy="skip")


@pytest.fixture
def errors(store: LocalStore) -> StoredObject:
    return StoredObject(store, "t/1/errors.csv")


async def imported(
    pool: Pool, product: Entity, file: Path, errors: StoredObject | None, task: str = "1"
) -> ImportReport:
    return await run_import(file, product, TableSink(pool, product, task), OPTIONS, errors=errors)


async def refused(errors: StoredObject) -> list[dict[str, str]]:
    text = (await errors.store.read(errors.key)).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


async def test_each_refused_row_as_it_stood_with_its_reasons(
    pool: Pool, product: Entity, errors: StoredObject, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(TEXT, encoding="utf-8", newline="")
    report = await imported(pool, product, tmp_path / "in.csv", errors)
    rows = await refused(errors)
    assert (report.applied, report.failed, report.error_file) == (1, 5, errors.key)
    assert list(rows[0])[:4] == ["sku", "name", "price", "Remark"]
    assert [(row["error_line"], row["error_column"], row["error_code"]) for row in rows] == [
        ("4", "price", "not_a_decimal"),
        ("5", "", "check"),
        ("6", "sku | name | price", "pattern | required | scale"),
        ("7", "", "unclosed_quote"),
        ("8", "", "field_count"),
    ]
    assert [rows[0][name] for name in ("sku", "name", "price", "Remark")] == ["B", "'=1+1", "free", "'-2"]
    assert "“free”" in rows[0]["error_message"]
    assert [row["error_record"] for row in rows] == ["", "", "", 'D;"open;1;', "E;Tea;1;a;b"]
    assert [row["sku"] for row in rows[3:]] == ["", ""]


async def test_the_corrected_file_is_imported_as_it_is(
    pool: Pool, product: Entity, errors: StoredObject, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(TEXT, encoding="utf-8", newline="")
    await imported(pool, product, tmp_path / "in.csv", errors)
    text = (await errors.store.read(errors.key)).decode().replace("free", "7")
    (tmp_path / "again.csv").write_text("\n".join(text.splitlines()[:2]) + "\n", newline="")
    report = await imported(pool, product, tmp_path / "again.csv", None, task="2")
    assert (report.applied, report.failed) == (1, 0)
    row = await pool.fetch_one("select name, price::text from product where sku = 'B'")
    assert row == {"name": "=1+1", "price": "7.00"}


async def test_no_bad_rows_no_file(pool: Pool, product: Entity, errors: StoredObject, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("sku,name,price,Remark\nA,Tea,1,\n")
    report = await imported(pool, product, tmp_path / "in.csv", errors)
    assert (report.error_file, await errors.store.head(errors.key)) == (None, None)


async def test_a_lost_file_is_written_again_from_the_ledger(
    pool: Pool, product: Entity, errors: StoredObject, tmp_path: Path
) -> None:
    lines = "".join(f"S-{n},Tea,{'x' if n % 2 else '1'},\n" for n in range(12_000))
    (tmp_path / "in.csv").write_text("sku,name,price,Remark\n" + lines)
    await imported(pool, product, tmp_path / "in.csv", errors)
    first = await errors.store.read(errors.key)
    await errors.store.delete(errors.key)
    await imported(pool, product, tmp_path / "in.csv", errors)
    assert await errors.store.read(errors.key) == first
    assert [row["sku"] for row in await refused(errors)] == [f"S-{n}" for n in range(1, 12_000, 2)]
