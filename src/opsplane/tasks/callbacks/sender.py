"""The sender: posts what finished tasks owe their receivers, many at once, few to one receiver."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import msgspec

from opsplane.clock import SYSTEM, Clock
from opsplane.resilience import Backoff, Stop
from opsplane.tasks.api.views import task_view
from opsplane.tasks.callbacks.book import CallbackBook, Due, State
from opsplane.tasks.callbacks.post import TIME_LIMIT, Answer, Post
from opsplane.tasks.callbacks.signing import SigningSecrets, sign
from opsplane.tasks.task import Task
from opsplane.telemetry import counter, gauge, get_logger

log = get_logger("tasks")
_tried = counter("task_callbacks_total", "Tries to tell a finished task to its callback.", ["outcome"])
_waiting = gauge("task_callbacks_waiting", "Finished tasks whose callback has not been told.")
TRIES = 8
BACKOFF = Backoff(30.0, 1920.0)  # the eighth try comes 32 to 63 minutes after the first
LONGEST_PAUSE = 3600.0  # of those a receiver asks for
SLOTS, EACH = 32, 4
POLL, COUNT = 0.5, 5.0
LEASE = 6 * TIME_LIMIT
GRACE = 3.0


class CallbackSender:
    """A duty; any number may run, each message is with one of them at a time.

    One that dies leaves its messages to be sent again when their `lease` runs out. No receiver is sent more than
    `EACH` at the same time, so a slow one holds up nobody else.
    """

    name = "callback sender"

    def __init__(
        self,
        book: CallbackBook,
        secrets: SigningSecrets,
        post: Post,
        *,
        backoff: Backoff = BACKOFF,
        lease: float = LEASE,
        clock: Clock = SYSTEM,
    ) -> None:
        self._book = book
        self._secrets = secrets
        self._post = post
        self._backoff = backoff
        self._lease = lease
        self._clock = clock
        self._running: dict[asyncio.Task[None], Due] = {}
        self._count_at = 0.0

    async def run(self, stop: Stop) -> None:
        """Send what is due until `stop`, then finish or hand back what is being sent."""
        stopping = asyncio.create_task(stop.wait(), name="callback stop")
        try:
            while not stop.is_set():
                await self._start()
                await self._count()
                waited = {*self._running, stopping}
                await asyncio.wait(waited, timeout=POLL, return_when=asyncio.FIRST_COMPLETED)
                self._reap()
        finally:
            stopping.cancel()
            await self._finish()

    async def _start(self) -> None:
        free = SLOTS - len(self._running)
        busy = Counter(due.receiver for due in self._running.values())
        taken = await self._book.take(free, each=EACH, busy=busy, lease=self._lease) if free else []
        for due in taken:
            self._running[asyncio.create_task(self.send(due), name=f"callback {due.task_id}")] = due

    def _reap(self) -> None:
        """Forget what is done; raises what went wrong with it, which is not the receiver's doing."""
        for task in [task for task in self._running if task.done()]:
            del self._running[task]
            task.result()

    async def _finish(self) -> None:
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=GRACE)
        broken = [self._running[task] for task in late]
        for task in late:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()
        if broken:
            await self._book.hand_back(broken)

    async def send(self, due: Due) -> None:
        """Try to tell the task to its receiver once, and note what became of it."""
        task = await self._book.task_of(due)
        if task is None:
            return  # deleted or retried meanwhile, and the message with it
        body = message(task)
        timestamp = int(self._clock.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "opsplane-callbacks",
            "webhook-id": due.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._secrets.read(), due.id, timestamp, body),
        }
        await self._note(due, await self._post(due.url, headers, body))

    async def _note(self, due: Due, answer: Answer) -> None:
        state = _state(due, answer)
        pause = self._pause(due, answer) if state == "waiting" else 0.0
        noted = await self._book.note(due, state, pause=pause, status=answer.status, error=answer.error)
        outcome = "refused" if answer.refused else {"waiting": "failed"}.get(state, state)
        _tried.labels(outcome).inc()
        tell = log.info if state == "delivered" else log.warning
        facts = {
            "task": due.task_id,
            "receiver": due.receiver,
            "status": answer.status,
            "error": answer.error,
        }
        tell("tasks.callback_tried", outcome=outcome, tries=due.tries + 1, noted=noted, **facts)

    def _pause(self, due: Due, answer: Answer) -> float:
        asked = min(answer.retry_after or 0.0, LONGEST_PAUSE)
        return max(self._backoff.delay(due.tries + 1), asked)

    async def _count(self) -> None:
        if time.monotonic() >= self._count_at:
            _waiting.set(await self._book.waiting())
            self._count_at = time.monotonic() + COUNT


def message(task: Task) -> bytes:
    """The body about a finished task: `type`, `timestamp` and in `data` the task as the API gives it."""
    ended = task.completed_at or task.updated_at
    facts = {
        "type": f"operations.task.{task.status}",
        "timestamp": ended,
        "data": task_view(task, ended),
    }
    return msgspec.json.encode(facts)


def _state(due: Due, answer: Answer) -> State:
    if answer.status is not None and 200 <= answer.status < 300:
        return "delivered"
    if answer.status == 410:
        return "gone"
    return "dead" if answer.refused or due.tries + 1 >= TRIES else "waiting"
