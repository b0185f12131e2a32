"""Exports: what is chosen, the guard against formulas, and that an import of an export changes nothing."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsplane.database import Pool
from opsplane.files import (
    Column,
    Entity,
    ImportOptions,
    LocalStore,
    Selection,
    StoredObject,
    TableSink,
    WorkCancelled,
    run_export,
    run_import,
)
from opsplane.files.copyout import FilterValueRejected
from opsplane.files.selection import SelectionRejected
from opsplane.files.sink import RefusedRow

BLNS = Path(__file__).parents[2] / "data" / "blns" / "blns.json"
NOTES = Entity("note", "note", (Column("number", "int", key=True), Column("text")))
GUARDED = {
    "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r=1": "'\r=1",
    "'=1": "''=1", "''=1": "'''=1", "'tis": "'tis", "''": "''", "''tis": "''tis", "plain": "plain", "a=1": "a=1", "": "",
}  # fmt: skip


class Notes:
    """A table of texts."""

    def __init__(self, pool: Pool, store: LocalStore) -> None:
        self.pool, self.target = pool, StoredObject(store, "t/1/result.csv")
        self.task = 0

    async def fill(self, texts: list[str]) -> None:
        await self.pool.execute("truncate note")
        async with self.pool.transaction() as tx, tx.cursor().copy("copy note from stdin") as copy:
            for row in enumerate(texts):
                await copy.write_row(row)

    async def export(self, **options: Any) -> list[list[str]]:
        """The lines of the file."""
        await run_export(self.pool, NOTES, self.target, **options)
        text = (await self.target.store.read(self.target.key)).decode()
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))

    async def import_back(self) -> list[RefusedRow]:
        """Import the exported file; what was refused of it."""
        self.task += 1
        sink = TableSink(self.pool, NOTES, str(self.task))
        await run_import(self.target, NOTES, sink, ImportOptions(policy="skip", delimiter=","))
        return [row async for row in sink.refused()]

    async def texts(self) -> list[str]:
        return [row["text"] for row in await self.pool.fetch("select text from note order by number")]


@pytest.fixture
async def notes(pool: Pool, store: LocalStore) -> Notes:
    await pool.execute("create table note (number integer primary key, text text)")
    return Notes(pool, store)


async def test_the_guard_makes_formulas_text(notes: Notes) -> None:
    await notes.fill(list(GUARDED))
    assert [line[1] for line in (await notes.export())[1:]] == list(GUARDED.values())
    assert [line[1] for line in (await notes.export(guard=False))[1:]] == list(GUARDED), "the control"


async def test_numbers_are_no_formulas(pool: Pool, store: LocalStore) -> None:
    await pool.execute("create table debt (code text primary key, amount numeric)")
    await pool.execute("insert into debt values ('a', -5.50)")
    debt = Entity("debt", "debt", (Column("code", key=True), Column("amount", "decimal")))
    await run_export(pool, debt, StoredObject(store, "debt.csv"))
    assert await store.read("debt.csv") == b"code,amount\na,-5.50\n"


async def test_naughty_strings_come_back_as_they_were(notes: Notes) -> None:
    texts = json.loads(BLNS.read_text(encoding="utf-8"))
    await notes.fill([*texts, *GUARDED])
    await notes.export()
    await notes.pool.execute("update note set text = 'lost'")
    assert await notes.import_back() == []
    assert await notes.texts() == [*texts, *GUARDED]
    assert len(texts) == 515


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), max_size=10)
)
async def test_any_text_comes_back_as_it_was(notes: Notes, texts: list[str]) -> None:
    await notes.fill(texts)
    await notes.export()
    await notes.pool.execute("update note set text = 'lost'")
    assert await notes.import_back() == []
    assert await notes.texts() == texts


async def test_the_report_describes_the_file(notes: Notes) -> None:
    await notes.fill(["a"] * 50_000)
    told: list[int] = []
    report = await run_export(
        notes.pool, NOTES, notes.target, progress=lambda **counts: told.append(counts["done"])
    )
    data = await notes.target.store.read(notes.target.key)
    assert (report.rows, report.bytes) == (50_000, len(data))
    assert report.sha256 == hashlib.sha256(data).hexdigest()
    assert report.columns == ["number", "text"]
    assert told == sorted(told)
    assert data.count(b"\n") == 50_001


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(filters={"text": "b"}), [1]),
        (Selection(filters={"text": {"ne": "b"}}), [0, 2, 3]),
        (Selection(filters={"text": None}), [3]),
        (Selection(filters={"number": {"ge": 1, "lt": 3}}), [1, 2]),
        (Selection(filters={"number": {"in": [0, 3, 9]}}), [0, 3]),
        (Selection(filters={"number": {"in": []}}), []),
        (Selection(filters={"text": {"contains": "%"}}), [2]),
        (Selection(filters={"text": "'; drop table note --"}), []),
        (Selection(order_by=("-number",)), [3, 2, 1, 0]),
    ],
)
async def test_filters_and_order(notes: Notes, selection: Selection, expected: list[int]) -> None:
    await notes.fill(["A", "b", "50% C", ""])
    await notes.pool.execute("update note set text = null where number = 3")
    lines = await notes.export(selection=selection)
    assert [int(line[0]) for line in lines[1:]] == expected


async def test_columns_are_chosen_in_their_order(notes: Notes) -> None:
    await notes.fill(["a"])
    assert await notes.export(selection=Selection(columns=("text", "number"))) == [
        ["text", "number"],
        ["a", "0"],
    ]


@pytest.mark.parametrize(
    "selection",
    [
        Selection(columns=("texts",)),
        Selection(order_by=("-numbers",)),
        Selection(filters={"texts": 1}),
        Selection(filters={"text": {"like": "a"}}),
        Selection(filters={"text": {"lt": None}}),
        Selection(filters={"text": {"in": "a"}}),
        Selection(filters={"text": "a\0"}),
    ],
)
async def test_a_selection_of_what_there_is_not_is_refused(notes: Notes, selection: Selection) -> None:
    with pytest.raises(SelectionRejected):
        await notes.export(selection=selection)
    assert await notes.target.store.head(notes.target.key) is None


async def test_a_filter_that_does_not_fit_its_column_is_refused(notes: Notes) -> None:
    with pytest.raises(FilterValueRejected, match="integer"):
        await notes.export(selection=Selection(filters={"number": "many"}))


async def test_a_cancelled_export_leaves_nothing(notes: Notes) -> None:
    await notes.fill(["x" * 1000] * 5000)
    with pytest.raises(WorkCancelled):
        await notes.export(cancelled=lambda: True)
    assert [one async for one in notes.target.store.list()] == []
    assert len(await notes.export()) == 5001, "the control"
