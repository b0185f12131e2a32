"""The process of one handler: reads its job, runs it, answers; leaves at once, with its files, when its worker is gone."""

from __future__ import annotations

import asyncio
import os
import pickle
import shutil
import sys
import threading
import time
from typing import Any, BinaryIO, NoReturn, TypeVar

from psycopg.conninfo import conninfo_to_dict

from opsplane.database import Connection, Doorbell, Pool
from opsplane.events import Outbox
from opsplane.tasks.announce import task_schemas
from opsplane.tasks.context import LogLine, TaskContext
from opsplane.tasks.errors import WaitsForChildren
from opsplane.tasks.executors.wire import Answer, Job, Progress
from opsplane.tasks.operations import Operations, Work
from opsplane.tasks.outcome import outcome_of_error
from opsplane.tasks.producer import Producer
from opsplane.tasks.reporting import complete_within, place_of
from opsplane.telemetry import configure_logging

T = TypeVar("T")
GAP = 0.1


class Pipe:
    """Where the handler's context reports to: the worker's end of a pipe."""

    def __init__(self, stream: BinaryIO, job: Job) -> None:
        self._stream = stream
        self._job = job
        self._reached: tuple[Operations, Doorbell] | None = None
        self._place = place_of(conninfo_to_dict(job.operations_dsn))
        self._outbox = Outbox(task_schemas(), job.source) if job.source is not None else None
        self._lock = threading.Lock()
        self._told = 0.0

    def send(self, message: object) -> None:
        """Tell the worker."""
        data = pickle.dumps(message)
        with self._lock:
            self._stream.write(len(data).to_bytes(4, "big") + data)
            self._stream.flush()

    def progressed(self, context: TaskContext) -> None:
        """Tell the counts, at most ten times a second; the last go with the answer."""
        now = time.monotonic()
        if now - self._told >= GAP:
            self._told = now
            self.ended(context)

    def logged(self, _context: TaskContext, line: LogLine) -> None:
        """Tell the line."""
        self.send(line)

    def ended(self, context: TaskContext) -> None:
        """Tell the last counts, where there are any."""
        if context.total is None and context.message is None and not (context.done or context.failed):
            return
        self.send(Progress(context.done, context.total, context.failed, context.message))

    async def complete(self, context: TaskContext, tx: Connection) -> None:
        """Complete the task in the handler's transaction."""
        await complete_within(context, tx, self._outbox, self._place)

    async def operate(self, work: Work[T]) -> T:
        """What `work` gives, run on a connection that is opened when it is needed first."""
        if self._reached is None:
            pool, doorbell = (
                await Pool.open(self._job.operations_dsn, max_size=1),
                Doorbell(self._job.operations_dsn),
            )
            producer = Producer(pool, self._job.workshop.types(), self._outbox, doorbell)
            self._reached = Operations(pool, producer, self._outbox), doorbell
        return await work(self._reached[0])

    async def close(self) -> None:
        """Close what `operate` opened."""
        if self._reached is not None:
            operations, doorbell = self._reached
            await doorbell.close()
            await operations.pool.close()


def main() -> None:
    """Run the job given on standard input and leave; what handlers print goes to standard error.

    The argument is the directory of its temporary files.
    """
    place = sys.argv[1]
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    configure_logging("task", sys.stderr)
    stdin = sys.stdin.buffer
    size = int.from_bytes(stdin.read(4), "big")
    told = stdin.read(size)
    if not size or len(told) < size:
        _leave(place)
    job: Job = pickle.loads(told)  # noqa: S301  our own worker's
    asyncio.run(_run(job, Pipe(answers, job), stdin, place))
    sys.stderr.flush()
    os._exit(0)  # Python's own way out would wait a second for the thread that reads the pipe


async def _run(job: Job, pipe: Pipe, stdin: BinaryIO, place: str) -> None:
    kind = next(kind for kind in job.workshop.types() if kind.name == job.task_type)
    claim = job.claim
    context: TaskContext | None = None
    try:
        async with job.workshop.runtime(kind.service) as runtime:
            context = TaskContext(claim, kind.parse_params(claim.params), runtime, pipe)
            threading.Thread(target=_obey, args=[stdin, context, place], daemon=True).start()
            result = await kind.handler(context, context.params)
        answer = Answer(result, None, context.error_file, context.completed)
    except WaitsForChildren:
        answer = Answer(completed=True)
    except Exception as error:  # noqa: BLE001  the worker is told how the attempt ended
        facts: dict[str, Any] = outcome_of_error(kind, claim.retry_count, claim.max_retries, error)
        file = context.error_file if context is not None else None
        answer = Answer(None, facts, file, context is not None and context.completed)
    await pipe.close()
    if context is not None:
        pipe.ended(context)
    pipe.send(answer)


def _obey(stdin: BinaryIO, context: TaskContext, place: str) -> None:
    while line := stdin.readline():
        if line.strip() == b"cancel":
            context.cancelled = True
    _leave(place)


def _leave(place: str) -> NoReturn:
    """The worker is gone, or wants no answer any more: nobody else would delete the files of a worker that was killed."""
    shutil.rmtree(place, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    main()
