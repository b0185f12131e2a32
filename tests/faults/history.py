"""The history of tasks, and the judgement on it: a pure function over records that are written and never changed.

Records of one task come in the order in which they took effect: the database numbers a record while its transaction has
the task's row locked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from opsplane.tasks import TRANSITIONS, Status
from opsplane.tasks.states import FINISHED, STATUS_OF, Code

BACK = frozenset({"attempt_failed", "snoozed", "rescued", "handed_back", "children_done"})


class Record(NamedTuple):
    """One thing that happened: `state` (with its code), `step`, `effect` in the completing transaction, or `refused`."""

    task_id: str
    what: str
    status: int | None = None
    token: int | None = None
    attempt: int | None = None


class Told(NamedTuple):
    """What was said about a task: an event of its own story, or one that was published."""

    task_id: str
    kind: str


class Findings(NamedTuple):
    """What must be 0."""

    lost: int = 0  # without an end
    twice: int = 0  # completed, or had their effect, more than once
    illegal: int = 0  # changes of state that the table of transitions does not have
    stale: int = 0  # accepted from an attempt that did not hold the task
    overlapping: int = 0  # accepted from an attempt after a later one
    wronged: int = 0  # refused to the attempt that held the task
    unbacked: int = 0  # told by task events, and not so
    misreported: int = 0  # published too often, too rarely, or not so


class Figures(NamedTuple):
    """What the run was like."""

    tasks: int
    claims: int
    effects: int
    refused: int
    completed: int
    failed: int


@dataclass
class Life:
    """One task, as far as its records are read."""

    code: int | None = None
    token: int | None = None
    attempt: int | None = None
    latest: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def take(self, record: Record) -> None:
        """Go on by one record."""
        getattr(self, f"_{record.what}")(record)

    def _state(self, record: Record) -> None:
        assert record.status is not None
        self.counts["illegal"] += not _legal(self.code, record.status)
        if STATUS_OF[record.status] is Status.PENDING and self._status is Status.PROCESSING:
            self.counts["back"] += 1
        self.code = record.status
        self.counts[f"to {STATUS_OF[record.status]}"] += 1
        if record.status == Code.PROCESSING:
            self.token, self.attempt = record.token, record.attempt
            self.counts["claims"] += 1

    def _step(self, record: Record) -> None:
        self.counts["stale"] += self.code != Code.PROCESSING or record.attempt != self.attempt

    def _effect(self, record: Record) -> None:
        assert record.token is not None
        self.counts["effects"] += 1
        self.counts["stale"] += record.token != self.token or self.code != Code.COMPLETED
        self.counts["overlapping"] += record.token < self.latest
        self.latest = max(self.latest, record.token)

    def _refused(self, record: Record) -> None:
        self.counts["refused"] += 1
        self.counts["wronged"] += record.token == self.token and self.code == Code.PROCESSING

    @property
    def _status(self) -> Status | None:
        return None if self.code is None else STATUS_OF[self.code]

    @property
    def lost(self) -> bool:
        """Whether it has not come to an end."""
        return self._status not in FINISHED

    @property
    def twice(self) -> bool:
        """Whether it completed, or had its effect, more than once."""
        return self.counts["to completed"] > 1 or self.counts["effects"] > 1


def _legal(before: int | None, after: int) -> bool:
    source, target = None if before is None else STATUS_OF[before], STATUS_OF[after]
    if source is None:
        return target is Status.PENDING
    if source is target:
        return after != Code.PROCESSING  # claimed by two at once
    return any(source in step.sources and target is step.target for step in TRANSITIONS.values())


def check(
    records: Iterable[Record],
    created: Collection[str] = (),
    events: Iterable[Told] = (),
    published: Iterable[Told] = (),
    publishing: Collection[str] = (),
) -> tuple[Findings, Figures]:
    """The judgement on `records`; `created` are tasks that must be among them, `publishing` those that must publish."""
    lives: dict[str, Life] = {}
    for record in records:
        lives.setdefault(record.task_id, Life()).take(record)
    total: Counter[str] = Counter()
    for life in lives.values():
        total += life.counts
    missing = sum(task_id not in lives for task_id in created)
    findings = Findings(
        lost=missing + sum(life.lost for life in lives.values()),
        twice=sum(life.twice for life in lives.values()),
        illegal=total["illegal"],
        stale=total["stale"],
        overlapping=total["overlapping"],
        wronged=total["wronged"],
        unbacked=_unbacked(lives, events),
        misreported=_misreported(lives, published, publishing),
    )
    ends = total["to completed"], total["to failed"]
    return findings, Figures(len(lives), total["claims"], total["effects"], total["refused"], *ends)


def _by_task(told: Iterable[Told]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for one in told:
        found.setdefault(one.task_id, Counter())[one.kind] += 1
    return found


def _unbacked(lives: dict[str, Life], events: Iterable[Told]) -> int:
    """Tasks whose story tells of more returns or failures than there were; claims that never began are not told."""
    count = 0
    for task_id, kinds in _by_task(events).items():
        life = lives.get(task_id, Life())
        returns = sum(kinds[kind] for kind in BACK)
        count += returns > life.counts["back"] or kinds["failed"] > life.counts["to failed"]
    return count


def _misreported(lives: dict[str, Life], published: Iterable[Told], publishing: Collection[str]) -> int:
    """Publishing tasks whose events do not say what became of them; a claim that never began is not published."""
    count = 0
    for task_id, kinds in ({one: Counter[str]() for one in publishing} | _by_task(published)).items():
        counts = lives.get(task_id, Life()).counts
        ends = [(kinds[end], counts[f"to {end}"]) for end in ("completed", "failed", "cancelled")]
        exact = kinds["created"] == 1 and all(said == was for said, was in ends)
        count += not exact or not 1 <= kinds["started"] <= counts["claims"]
    return count
