"""Callbacks of finished tasks: owed from the transaction that finishes, signed, tried until told, and asked for again."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.receiver import Receiver, receiving
from tests.unit.tasks.conftest import Engine

from opsplane.embedded.keys import new_callback_secret, write_callback_secrets
from opsplane.errors import NotFound
from opsplane.files import LocalStore
from opsplane.resilience import Backoff, Retry
from opsplane.tasks import FanOut, Joiner, NewTask, Pruner, Reject, Rescuer, Task, TaskContext, task
from opsplane.tasks.callbacks import Callback, CallbackBook, CallbackPolicy
from opsplane.tasks.callbacks.post import Post
from opsplane.tasks.callbacks.sender import BACKOFF, TRIES, CallbackSender
from opsplane.tasks.callbacks.signing import NoCallbackSecret, SigningSecrets, sign
from opsplane.telemetry import render_metrics

FAST = Backoff(0.02, 0.02)


@task("do", emit="none", retry=Retry(0), grace="100ms")
async def do(ctx: TaskContext, params: dict[str, Any]) -> dict[str, Any] | None:
    if params.get("fail"):
        raise Reject("no")
    await asyncio.sleep(params.get("seconds", 0))
    return params.get("result")


@task("parent", emit="none", retry=Retry(0))
async def parent(ctx: TaskContext, params: dict[str, Any]) -> dict[str, Any]:
    children = [NewTask(task_type="do", params={"seconds": 60}, callback_url=params["url"])] * 2
    found: FanOut = await ctx.fan_out(children)
    return {"completed": found.completed}


class Desk:
    """The engine with a sender's parts."""

    def __init__(self, engine: Engine, receiver: Receiver, secrets: Path) -> None:
        self.engine, self.receiver, self.path = engine, receiver, secrets
        self.book = CallbackBook(engine.pool)
        write_callback_secrets(secrets, [new_callback_secret()])

    def sender(self, **options: Any) -> CallbackSender:
        policy = CallbackPolicy.of(http=True, ports=[self.receiver.port], allow=["127.0.0.1"])
        given = {"backoff": FAST, **options}
        return CallbackSender(self.book, SigningSecrets(self.path), Post(policy, time_limit=2.0), **given)

    @asynccontextmanager
    async def sending(self, **options: Any) -> AsyncIterator[None]:
        async with self.engine.running(self.sender(**options)):
            yield

    async def ended(self, **params: Any) -> Task:
        """A task with a callback, finished."""
        made = await self.engine.create("do", params, callback_url=self.receiver.url)
        async with self.engine.worker():
            return await self.engine.finished(made.id)

    async def told(self, task_id: str, state: str = "delivered") -> Callback:
        async def there() -> Callback | None:
            found = await self.book.of(await self.engine.store.get(task_id))
            return found if found.state == state else None

        return await self.engine.until(there)  # type: ignore[no-any-return]

    async def state(self, task_id: str) -> str:
        return (await self.book.of(await self.engine.store.get(task_id))).state


@pytest.fixture
async def desk(engine: Engine, tmp_path: Path) -> AsyncIterator[Desk]:
    engine.declare(do, parent)
    async with receiving() as receiver:
        yield Desk(engine, receiver, tmp_path / "callbacks.txt")


async def test_a_finished_task_is_told_once_signed_as_standard_webhooks_says(desk: Desk) -> None:
    done = await desk.ended(result={"answer": 42}, name="ä")
    async with desk.sending():
        told = await desk.told(done.id)
        await asyncio.sleep(0.6)
    (one,) = desk.receiver.received
    assert (told.id, told.tries, told.last_status, told.last_error, told.due_at) == (
        one.id,
        1,
        200,
        None,
        None,
    )
    assert json.loads(one.body)["type"] == "operations.task.completed"
    facts = {name: one.task[name] for name in ("id", "status", "result", "params", "callbackUrl")}
    assert facts == {
        "id": done.id, "status": "completed", "result": {"answer": 42},
        "params": {"result": {"answer": 42}, "name": "ä"}, "callbackUrl": desk.receiver.url,
    }  # fmt: skip
    assert one.task["completedAt"] == json.loads(one.body)["timestamp"]
    key = base64.b64decode(desk.path.read_text().strip().removeprefix("whsec_"))
    signed = f"{one.id}.{one.headers['webhook-timestamp']}.".encode() + one.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert one.headers["webhook-signature"] == f"v1,{expected}"
    assert one.headers["content-type"] == "application/json"


def test_the_signature_is_that_of_the_specification_s_own_libraries() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")  # the example of their tests
    signature = sign([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_two_secrets_sign_both_and_a_change_holds_at_once(desk: Desk) -> None:
    old, new = desk.path.read_text().strip(), new_callback_secret()
    done = await desk.ended()
    async with desk.sending():
        await desk.told(done.id)
        write_callback_secrets(desk.path, [new, old])
        await desk.book.try_again(done)
        await desk.engine.until(lambda: _true(len(desk.receiver.received) == 2))
    first, second = desk.receiver.received
    assert first.id == second.id
    assert len(first.headers["webhook-signature"].split()) == 1
    signatures = second.headers["webhook-signature"].split()
    keys = [base64.b64decode(one.removeprefix("whsec_")) for one in (new, old)]
    timestamp = int(second.headers["webhook-timestamp"])
    assert signatures == [sign([key], second.id, timestamp, second.body) for key in keys]


@pytest.mark.parametrize("text", [None, "", "whsec_%%%", "whsec_ä"])
def test_a_missing_or_damaged_secret_is_named_without_its_text(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "s").write_text(text)
    with pytest.raises(NoCallbackSecret) as raised:
        SigningSecrets(tmp_path / "s").read()
    assert "opsplane callback rotate" in str(raised.value)
    assert not text or text not in str(raised.value)


async def test_every_way_to_an_end_owes_the_callback_and_no_task_without_one_does(desk: Desk) -> None:
    engine, url = desk.engine, desk.receiver.url
    plain = await engine.create("do", callback_url=url)
    with_result = await engine.create("do", {"result": {"a": 1}}, callback_url=url)
    failed = await engine.create("do", {"fail": True}, callback_url=url)
    await engine.create("do")
    async with engine.worker():
        for one in (plain, with_result, failed):
            await engine.finished(one.id)
    cancelled = await engine.create("do", callback_url=url)
    await engine.control.cancel(cancelled.id, "olga")
    missing = await engine.create("do", file_name="a.csv", callback_url=url)
    await engine.control.refuse_upload(missing.id, "UploadMissing", "it never came")
    lost = await engine.create("do", callback_url=url)
    await engine.pool.execute(
        "update task set status = 1, worker = 77, claim_token = 1, attempt = 1, rescues = 2,"
        " claimed_at = clock_timestamp(), started_at = clock_timestamp() where id = %s",
        [lost.id],
    )
    await Rescuer(engine.pool, [do], doorbell=engine.doorbell).rescue(77, "it is gone")
    rows = await engine.pool.fetch(
        "select task_id::text as id, url, receiver, state, tries from task_callback"
    )
    owed = {row["id"] for row in rows}
    assert owed == {one.id for one in (plain, with_result, failed, cancelled, missing, lost)}
    assert {(row["url"], row["receiver"]) for row in rows} == {(url, url.removesuffix("/hook"))}
    async with desk.sending():
        for one in (plain, with_result, failed, cancelled, missing, lost):
            await desk.told(one.id)
    said = {one.task["id"]: (one.task["status"], one.task["errorKind"]) for one in desk.receiver.received}
    assert said == {
        plain.id: ("completed", None), with_result.id: ("completed", None), failed.id: ("failed", "Reject"),
        cancelled.id: ("cancelled", None), missing.id: ("failed", "UploadMissing"), lost.id: ("failed", "WorkerLost"),
    }  # fmt: skip


async def test_a_cancelled_parent_and_its_children_owe_theirs(desk: Desk) -> None:
    engine = desk.engine
    made = await engine.create("parent", {"url": desk.receiver.url}, callback_url=desk.receiver.url)
    async with engine.worker(slots=1), engine.running(Joiner(engine.pool, engine.control, engine.doorbell)):
        await engine.until(lambda: _at_least(engine, "task", "status = 6", 1))
        await engine.control.cancel(made.id, "olga")
        await engine.finished(made.id)
    assert await engine.count("task_callback") == 3


async def test_what_is_rolled_back_owes_nothing(desk: Desk) -> None:
    made = await desk.engine.create("do", callback_url=desk.receiver.url)
    async with desk.engine.pool.connection() as tx, tx.transaction(force_rollback=True):
        await desk.engine.control.finish(tx, made, 5, actor="olga")
        assert (await (await tx.execute("select count(*) as n from task_callback")).fetchone() or {})[
            "n"
        ] == 1
    assert await desk.engine.count("task_callback") == 0
    assert await desk.state(made.id) == "unfinished"


async def test_it_is_tried_again_until_it_is_told(desk: Desk) -> None:
    desk.receiver.answers = [500, 404, (302, {"Location": "http://127.0.0.1/"}), 200]
    done = await desk.ended()
    async with desk.sending():
        told = await desk.told(done.id)
    assert (told.tries, told.last_status) == (4, 200)
    assert len(set(desk.receiver.ids)) == 1


async def test_after_eight_tries_it_is_dead_and_asked_for_again_it_has_eight_more(desk: Desk) -> None:
    desk.receiver.answers = [500]
    done = await desk.ended()
    before = _metric("dead")
    async with desk.sending():
        dead = await desk.told(done.id, "dead")
        assert (dead.tries, dead.last_error) == (TRIES, "it answered 500")
        assert len(desk.receiver.received) == TRIES == 8
        assert _metric("dead") == before + 1
        desk.receiver.answers = [200]
        await desk.book.try_again(done)
        assert (await desk.told(done.id)).tries == 1
    assert len(set(desk.receiver.ids)) == 1


def test_the_eighth_try_comes_within_about_an_hour() -> None:
    least = sum(Backoff(BACKOFF.first, BACKOFF.last, lambda: 0.0).delay(n) for n in range(1, TRIES))
    most = sum(Backoff(BACKOFF.first, BACKOFF.last, lambda: 1.0).delay(n) for n in range(1, TRIES))
    assert (least, most) == (1905, 3810)


async def test_410_ends_it(desk: Desk) -> None:
    desk.receiver.answers = [410]
    done = await desk.ended()
    async with desk.sending():
        assert (await desk.told(done.id, "gone")).tries == 1
        await asyncio.sleep(0.6)
    assert len(desk.receiver.received) == 1


async def test_retry_after_is_honoured_up_to_an_hour(desk: Desk) -> None:
    desk.receiver.answers = [(503, {"Retry-After": "900"}), (429, {"Retry-After": "99999"})]
    first, second = await desk.ended(), await desk.ended()
    async with desk.sending():
        await desk.engine.until(lambda: _at_least(desk.engine, "task_callback", "tries = 1", 2))
    rows = await desk.engine.pool.fetch(
        "select extract(epoch from due_at - now())::float as pause from task_callback order by due_at"
    )
    assert [await desk.state(one.id) for one in (first, second)] == ["waiting", "waiting"]
    assert rows[0]["pause"] == pytest.approx(900, abs=5)
    assert rows[1]["pause"] == pytest.approx(3600, abs=5)


async def test_a_private_address_is_dead_at_once_and_never_called(desk: Desk) -> None:
    done = await desk.ended()
    closed = CallbackPolicy.of(http=True, ports=[desk.receiver.port], allow=[])
    sender = CallbackSender(desk.book, SigningSecrets(desk.path), Post(closed), backoff=FAST)
    before = _metric("refused")
    async with desk.engine.running(sender):
        dead = await desk.told(done.id, "dead")
    assert (dead.tries, dead.last_status) == (1, None)
    assert "127.0.0.1, which is not a public address" in str(dead.last_error)
    assert (desk.receiver.received, _metric("refused")) == ([], before + 1)


async def test_a_slow_receiver_holds_up_no_other_and_gets_four_at_a_time(desk: Desk) -> None:
    async with receiving() as slow:
        slow.delay = 1.0
        made = await desk.engine.create_many("do", 100, callback_url=slow.url)
        quick = await desk.engine.create_many("do", 100, callback_url=desk.receiver.url)
        async with desk.engine.worker():
            for task_id in made + quick:
                await desk.engine.finished(task_id)
        policy = CallbackPolicy.of(http=True, ports=[desk.receiver.port, slow.port], allow=["127.0.0.1"])
        sender = CallbackSender(desk.book, SigningSecrets(desk.path), Post(policy), backoff=FAST)
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with desk.engine.running(sender):
            await desk.engine.until(lambda: _true(len(desk.receiver.received) == 100))
        taken = loop.time() - started
    print(f"\n100 callbacks beside a receiver of 1 s with 100: {taken:.2f} s, it got {slow.most} at a time")
    assert slow.most == 4
    assert len(slow.received) <= 4 * (taken + 3) + 4  # they were not sent first
    assert taken < 6


async def test_two_senders_send_each_message_once(desk: Desk) -> None:
    made = await desk.engine.create_many("do", 60, callback_url=desk.receiver.url)
    async with desk.engine.worker():
        for task_id in made:
            await desk.engine.finished(task_id)
    async with desk.sending(), desk.sending():
        for task_id in made:
            await desk.told(task_id)
    assert (len(desk.receiver.ids), len(set(desk.receiver.ids))) == (60, 60)


async def test_what_is_being_sent_at_the_stop_is_handed_back_or_finished(desk: Desk) -> None:
    done = await desk.ended()
    desk.receiver.delay = 10.0
    policy = CallbackPolicy.of(http=True, ports=[desk.receiver.port], allow=["127.0.0.1"])
    sender = CallbackSender(desk.book, SigningSecrets(desk.path), Post(policy), backoff=FAST)
    async with desk.engine.running(sender):
        await desk.engine.until(lambda: _true(desk.receiver.received))
    desk.receiver.delay = 0.0
    async with desk.sending():  # at once, not when its lease of a minute has run out
        await asyncio.wait_for(desk.told(done.id), 5)
    assert len(set(desk.receiver.ids)) == 1


async def test_a_task_that_runs_again_owes_nothing_until_it_has_finished_again(desk: Desk) -> None:
    failed = await desk.ended(fail=True)
    first = await desk.book.of(failed)
    await desk.engine.control.retry(failed.id, "olga")
    assert await desk.state(failed.id) == "unfinished"
    async with desk.engine.worker():
        await desk.engine.finished(failed.id)
    assert (await desk.book.of(failed)).id not in (None, first.id)


async def test_a_deleted_task_owes_nothing_and_a_dropped_day_neither(desk: Desk, tmp_path: Path) -> None:
    done, other = await desk.ended(), await desk.ended()
    await desk.engine.control.delete(done.id)
    assert await desk.engine.count("task_callback") == 1
    with pytest.raises(NotFound):
        await desk.book.try_again(done)
    pruner = Pruner(desk.engine.pool, LocalStore(tmp_path, "bucket", "key"), retention=-2.0)
    assert any(name.startswith("task_history") for name in await pruner.prune())
    with pytest.raises(NotFound):
        await desk.engine.store.get(other.id)
    assert await desk.engine.count("task_callback") == 0


async def test_a_day_whose_partition_is_made_later_owes_as_well(desk: Desk) -> None:
    done = await desk.ended()
    await desk.engine.pool.execute("select make_task_partitions(20)")
    await desk.engine.pool.execute("delete from task_callback")
    await desk.engine.pool.execute(
        "update task_history set completed_at = completed_at + interval '15 days' where id = %s", [done.id]
    )
    assert await desk.engine.count("task_callback") == 1  # a row that changes its partition is inserted there


async def test_a_message_taken_by_another_is_not_noted(desk: Desk) -> None:
    done = await desk.ended()
    (due,) = await desk.book.take(5, each=5, busy={}, lease=0.0)
    (again,) = await desk.book.take(5, each=5, busy={}, lease=60.0)
    assert await desk.book.take(5, each=5, busy={}, lease=60.0) == []
    assert not await desk.book.note(due, "dead", status=500, error="late")
    assert await desk.state(done.id) == "waiting"
    assert await desk.book.note(again, "delivered", status=200, error=None)


async def test_what_waits_is_a_metric(desk: Desk) -> None:
    await desk.ended()
    desk.receiver.answers = [(503, {"Retry-After": "900"})]
    async with desk.sending():
        await desk.engine.until(lambda: _true(b"task_callbacks_waiting 1.0" in render_metrics()))


def _metric(outcome: str) -> float:
    line = f'task_callbacks_total{{outcome="{outcome}"}} '
    found = [text for text in render_metrics().decode().splitlines() if text.startswith(line)]
    return float(found[0].split()[-1]) if found else 0.0


async def _true(value: Any) -> bool:
    return bool(value)


async def _at_least(engine: Engine, table: str, where: str, count: int) -> bool:
    return await engine.count(table, where) >= count
