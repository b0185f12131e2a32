"""The check of a history sees each thing that must not be, and nothing where all is well."""

from __future__ import annotations

import pytest
from tests.faults.history import Figures, Findings, Record, Told, check

from opsplane.tasks.states import Code

ONE = "task 1"


def state(code: int, token: int | None = None, attempt: int | None = None) -> Record:
    return Record(ONE, "state", code, token, attempt)


READY, DONE = state(Code.READY), state(Code.COMPLETED)
FIRST, SECOND = state(Code.PROCESSING, 7, 1), state(Code.PROCESSING, 9, 2)


def effect(token: int) -> Record:
    return Record(ONE, "effect", None, token)


def refused(token: int) -> Record:
    return Record(ONE, "refused", None, token)


def step(attempt: int) -> Record:
    return Record(ONE, "step", attempt=attempt)


def findings(*records: Record) -> Findings:
    return check(records)[0]


def test_a_life_with_a_rescue_and_a_refusal_is_well() -> None:
    life = [READY, FIRST, step(1), READY, SECOND, refused(7), step(2), DONE, effect(9)]
    said = [Told(ONE, "rescued")]
    published = [Told(ONE, kind) for kind in ("created", "started", "started", "completed")]
    assert check(life, [ONE], said, published) == (Findings(), Figures(1, 2, 1, 1, 1, 0))


@pytest.mark.parametrize(
    "life",
    [
        [state(Code.WAITING), READY, FIRST, DONE],
        [state(Code.HELD), READY, FIRST, state(Code.JOINING), READY, SECOND, DONE],
        [READY, state(Code.CANCELLED)],
        [READY, FIRST, state(Code.FAILED), READY, SECOND, DONE],
    ],
)
def test_every_written_way_is_legal(life: list[Record]) -> None:
    assert findings(*life) == Findings()


@pytest.mark.parametrize(
    ("life", "found"),
    [
        ([READY, FIRST], Findings(lost=1)),
        ([READY, FIRST, state(Code.JOINING)], Findings(lost=1)),
        ([READY, FIRST, DONE, DONE], Findings(twice=1)),
        ([READY, FIRST, DONE, effect(7), effect(7)], Findings(twice=1)),
        ([READY, DONE], Findings(illegal=1)),
        ([FIRST, DONE], Findings(illegal=1)),
        ([READY, FIRST, SECOND, DONE], Findings(illegal=1)),
        ([READY, FIRST, DONE, READY, SECOND, DONE], Findings(illegal=1, twice=1)),
        ([READY, FIRST, READY, SECOND, DONE, effect(7)], Findings(stale=1)),
        ([READY, FIRST, effect(7), DONE], Findings(stale=1)),
        ([READY, FIRST, READY, step(1), SECOND, DONE], Findings(stale=1)),
        ([READY, FIRST, READY, SECOND, step(1), DONE], Findings(stale=1)),
        (
            [READY, FIRST, READY, SECOND, DONE, effect(9), effect(7)],
            Findings(stale=1, twice=1, overlapping=1),
        ),
        ([READY, FIRST, refused(7), DONE], Findings(wronged=1)),
    ],
)
def test_what_must_not_be_is_seen(life: list[Record], found: Findings) -> None:
    assert findings(*life) == found


def test_a_task_that_left_no_trace_is_lost() -> None:
    assert check([], [ONE])[0] == Findings(lost=1)


@pytest.mark.parametrize(("kind", "times"), [("rescued", 2), ("failed", 1)])
def test_what_the_story_tells_must_have_been(kind: str, times: int) -> None:
    life = [READY, FIRST, READY, SECOND, DONE]
    assert check(life, events=[Told(ONE, kind)] * times)[0] == Findings(unbacked=1)


@pytest.mark.parametrize(
    "kinds",
    [
        (),
        ("created", "completed"),
        ("started", "completed"),
        ("created", "started", "started", "completed"),
        ("created", "started"),
        ("created", "started", "completed", "completed"),
        ("created", "started", "completed", "failed"),
    ],
)
def test_what_is_published_must_be_what_became_of_the_task(kinds: tuple[str, ...]) -> None:
    published = [Told(ONE, kind) for kind in kinds]
    assert check([READY, FIRST, DONE], published=published, publishing=[ONE])[0] == Findings(misreported=1)
