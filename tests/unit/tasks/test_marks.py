"""Claim marks against a model of transactions: what has become visible is always found by the next claim."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from opsplane.tasks.marks import BEGINNING, LEVELS, LOWEST_ID, Mark, Marks, Tick

STEPS, SEEDS = 300, 60


class Row(NamedTuple):
    level: int
    at: datetime
    id: str


class Database:
    """Transactions as PostgreSQL numbers and shows them; a row's time is read after its transaction has its xid."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.next_xid = 100
        self.open: dict[int, list[Row]] = {}
        self.visible: set[Row] = set()
        self.rows = 0

    def pass_time(self) -> None:
        self.now += timedelta(microseconds=self.random.randrange(20_000))

    def begin(self) -> None:
        self.open[self.next_xid] = []
        self.next_xid += 1

    def insert(self) -> None:
        if self.open:
            self.rows += 1
            row = Row(self.random.choice(LEVELS), self.now, f"{self.rows:036d}")
            self.open[self.random.choice(list(self.open))].append(row)

    def end(self) -> None:
        if self.open:
            rows = self.open.pop(self.random.choice(list(self.open)))
            if self.random.random() < 0.9:
                self.visible.update(rows)

    def tick(self) -> Tick:
        """Others may begin between the look at the running transactions and the xid of our own."""
        at, running, first = self.now, list(self.open), self.next_xid
        for _ in range(self.random.randrange(3)):
            self.pass_time()
            self.begin()
            self.insert()
        own, self.next_xid = self.next_xid, self.next_xid + 1
        return Tick(at, running, first, own)

    def claim(self, marks: Marks, limit: int) -> bool:
        """Claim as `claim_tasks.sql` does; whether the claim came to the end."""
        starts = marks.of("queue")
        due = sorted(row for row in self.visible if (row.at, row.id) >= starts[row.level])
        taken = due[:limit]
        self.visible.difference_update(taken)
        full = len(taken) == limit
        marks.claimed("queue", (taken[-1].level, Mark(taken[-1].at, taken[-1].id)) if full else None)
        return not full


class NeverFalling(Marks):
    """The planted defect: the end of a transaction lowers no mark."""

    def _fall(self, floor: datetime) -> None:
        pass


def left_behind(marks: Marks, seed: int) -> Iterator[Row]:
    """Rows that were visible at a tick and that the claim after it, which came to the end, did not find."""
    database = Database(seed)
    moves = [database.begin, database.insert, database.insert, database.end]
    for step in range(STEPS):
        database.pass_time()
        if step % 5:
            database.random.choice(moves)()
            continue
        marks.ticked(database.tick())
        if database.claim(marks, limit=database.random.randrange(1, 8)):
            yield from database.visible


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_became_visible_is_found_by_the_claim_after_the_next_tick(seed: int) -> None:
    assert list(left_behind(Marks(), seed)) == []


def test_planted_marks_that_never_fall_leave_rows_behind() -> None:
    assert sum(1 for seed in range(SEEDS) if list(left_behind(NeverFalling(), seed))) > SEEDS / 2


def test_marks_rise_so_that_claims_do_not_begin_among_dead_rows() -> None:
    marks, now = Marks(), datetime(2026, 1, 1, tzinfo=UTC)
    assert set(marks.of("queue")) == {BEGINNING}
    marks.ticked(Tick(now, [], 100, 100))
    marks.claimed("queue", None)
    assert set(marks.of("queue")) == {Mark(now, LOWEST_ID)}


def test_a_full_claim_leaves_the_lower_priorities_where_they_were() -> None:
    marks, now = Marks(), datetime(2026, 1, 1, tzinfo=UTC)
    marks.ticked(Tick(now, [], 100, 100))
    place = Mark(now - timedelta(seconds=1), "1")
    marks.claimed("queue", (LEVELS[2], place))
    found = marks.of("queue")
    assert found[:2] == [Mark(now, LOWEST_ID)] * 2
    assert found[2] == place
    assert set(found[3:]) == {BEGINNING}


def test_a_clock_set_back_lowers_the_marks() -> None:
    marks, now = Marks(), datetime(2026, 1, 1, tzinfo=UTC)
    marks.ticked(Tick(now, [], 100, 100))
    marks.claimed("queue", None)
    back = now - timedelta(hours=3)
    marks.ticked(Tick(back, [], 101, 101))
    assert all(mark.at < back for mark in marks.of("queue"))
