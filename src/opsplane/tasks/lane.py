"""A lane of a worker: slots of one kind, what runs in them, and the few claims that wait for the next free one."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from opsplane.tasks.attempt import Attempt
from opsplane.tasks.claimer import Claimer, Queues
from opsplane.tasks.completing import Completer
from opsplane.tasks.context import Claim, Reports, TaskContext, TaskRuntime
from opsplane.tasks.errors import TimedOut, WaitsForChildren
from opsplane.tasks.executor import Executor, HandlerEnded
from opsplane.tasks.outcome import Ending, Outcome, attempted, outcome_of, outcome_of_error
from opsplane.tasks.task import ResultFile
from opsplane.tasks.task_type import TaskType
from opsplane.tasks.timing import observe_run, observe_wait
from opsplane.telemetry import get_logger

log = get_logger("tasks")
BUFFER_LIMIT = 2000
BUFFER_SECONDS = 0.04  # the buffer holds what is finished in this time: nothing while tasks are long
STALE = 2.0
BACKLOG_LIMIT = 4000


class Lane:
    """Runs claimed tasks of some types in `slots` places at once."""

    def __init__(
        self,
        types: Mapping[str, TaskType],
        slots: int,
        queues: Queues,
        executors: Mapping[str, Executor],
        runtimes: Mapping[str | None, TaskRuntime],
        reports: Reports,
        completer: Completer,
        begin: Callable[[Attempt], Any] | None = None,
    ) -> None:
        self.types = types
        self.slots = slots
        self.claimer = Claimer(types, queues)
        self.running: dict[int, Attempt] = {}
        self.room = asyncio.Event()
        self._waiting: deque[Claim] = deque()
        self._waiting_since = 0.0
        self._executors = executors
        self._runtimes = runtimes
        self._reports = reports
        self._completer = completer
        self._begin = begin
        self._buffer = 0
        self._ended = 0
        self._measured = time.monotonic()
        self._closed = False

    def tokens(self) -> list[int]:
        """The tokens of everything the lane holds."""
        return [*self.running, *(claim.token for claim in self._waiting)]

    def wanted(self) -> int:
        """How many tasks to claim now."""
        if self._closed or self._completer.backlog > BACKLOG_LIMIT or len(self._waiting) > self._buffer // 2:
            return 0
        return max(0, self.slots + self._buffer - len(self.running) - len(self._waiting))

    def accept(self, claims: list[Claim]) -> None:
        """Take claimed tasks: they start as slots are free."""
        if claims and not self._waiting:
            self._waiting_since = time.monotonic()
        self._waiting.extend(claims)
        if self._closed:
            self.hand_back(lambda _: True)
        self._fill()

    def hand_back(self, unwanted: Callable[[Claim], bool]) -> None:
        """Give back what has not started and is `unwanted`."""
        kept: deque[Claim] = deque()
        for claim in self._waiting:
            if unwanted(claim):
                self._completer.put(
                    Outcome(attempted=attempted(claim), ending=Ending.HANDED_BACK, delay=None)
                )
            else:
                kept.append(claim)
        self._waiting = kept

    def close(self) -> None:
        """Start nothing more and give back what waits."""
        self._closed = True
        self.hand_back(lambda _: True)
        self.room.set()

    def tend(self) -> None:
        """Enforce timeouts and graces, size the buffer by the pace, give back what waited long for a slot."""
        now = time.monotonic()
        for attempt in list(self.running.values()):
            attempt.tend(now)
        pace = self._ended / max(now - self._measured, 1e-3)
        self._buffer = min(BUFFER_LIMIT, int(pace * BUFFER_SECONDS))
        self._ended, self._measured = 0, now
        if self._waiting and now - self._waiting_since > STALE and len(self.running) >= self.slots:
            self.hand_back(lambda _: True)
        self.room.set()

    def _fill(self) -> None:
        while self._waiting and len(self.running) < self.slots and not self._closed:
            self._start(self._waiting.popleft())
            self._waiting_since = time.monotonic()

    def _start(self, claim: Claim) -> None:
        kind = self.types[claim.task_type]
        context = TaskContext(claim, None, self._runtimes[kind.service], self._reports)
        attempt = Attempt(claim, kind, context)
        self.running[claim.token] = attempt
        attempt.run = asyncio.create_task(self._run(attempt))

    async def _run(self, attempt: Attempt) -> None:
        try:
            outcome = await self._outcome(attempt)
            if outcome is not None:
                self._completer.put(outcome)
                if attempt.kind.durable:
                    await self._completer.written()
        finally:
            del self.running[attempt.token]
            self._ended += 1
            self._fill()
            self.room.set()

    async def _outcome(self, attempt: Attempt) -> Outcome | None:
        context, kind, claim = attempt.context, attempt.kind, attempt.claim
        try:
            context.params = kind.parse_params(claim.params)
            if self._begin is not None:
                await self._begin(attempt)
            result = await self._executors[kind.isolation].run(attempt)
            facts = _result(result)
        except HandlerEnded as ended:
            facts = ended.facts
        except WaitsForChildren:
            facts = {}  # written with its children
        except asyncio.CancelledError:
            facts = self._stopped(attempt)
        except Exception as error:  # noqa: BLE001  the handler's error is the task's outcome, kept and counted
            facts = outcome_of_error(kind, claim.retry_count, claim.max_retries, error)
            log.info(
                "tasks.attempt_failed",
                task=claim.id,
                type=kind.name,
                error=f"{type(error).__name__}: {error}",
            )
        attempt.ended = True
        self._reports.ended(context)
        _observe(attempt)
        if attempt.lost or context.completed:
            return None
        return outcome_of(context, **facts)

    def _stopped(self, attempt: Attempt) -> dict[str, Any]:
        match attempt.asked:
            case Ending.CANCELLED:
                return {"ending": Ending.CANCELLED}
            case Ending.FAILED:
                limit = attempt.claim.timeout
                late = TimedOut(
                    f"Attempt {attempt.claim.attempt} took longer than {limit:g} s and was stopped."
                )
                return outcome_of_error(
                    attempt.kind, attempt.claim.retry_count, attempt.claim.max_retries, late
                )
            case _:
                return {"ending": Ending.HANDED_BACK}


def _result(result: Any) -> dict[str, Any]:
    if isinstance(result, ResultFile):
        return {"ending": Ending.COMPLETED, "result_file": result}
    if result is None:
        return {"ending": Ending.COMPLETED}
    try:
        return {"ending": Ending.COMPLETED, "result": msgspec.to_builtins(result, str_keys=True)}
    except TypeError as error:
        return {
            "ending": Ending.FAILED,
            "error_kind": "ResultRefused",
            "error_message": f"The result is no JSON: {error}",
        }


def _observe(attempt: Attempt) -> None:
    observe_wait(attempt.claim, attempt.context.delay)
    observe_run(attempt.kind.name, time.monotonic() - attempt.started)
