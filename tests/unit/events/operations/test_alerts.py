"""Alerts: somebody is told once when a topic has too many dead letters, and once when it is well; nothing waits for it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from opsplane.clock import ManualClock
from opsplane.events import deadletters
from opsplane.events.alerts import Alerting, alerts
from opsplane.events.configuration import EventsFile, EventsRejected, parse

TOPIC, GROUP = "shop.item.created", "indexer"
SECRET = "T0K3N-in-the-address"


class Hook:
    """A real webhook on a port of its own: what it got, and what it answers."""

    def __init__(self) -> None:
        hook = self
        self.got: list[dict] = []
        self.paths: list[str] = []
        self.answers: list[int] = []
        self.delay = 0.0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.paths.append(self.path)
                time.sleep(hook.delay)
                status = hook.answers.pop(0) if hook.answers else 200
                if status == 200:
                    hook.got.append(json.loads(body))
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def do_GET(self) -> None:  # where a redirect would lead
                self.do_POST()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/{SECRET}"

    @property
    def texts(self) -> list[str]:
        return [one["text"] for one in self.got]


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def alerting(world, hook, clock, tmp_path):
    """Makes the duty anew, as after a restart."""

    def make(**options) -> Alerting:
        path = tmp_path / "events.yaml"
        path.write_text(
            f"alerts: {{webhook: '{options.pop('url', hook.url)}', cooldown: 15m, thresholds: {{shop.item.*: 2}},"
            " runbooks: 'https://docs.example/run'}"
        )
        return Alerting(world.pool, EventsFile(path), clock, api="http://ops.example", timeout=0.5, **options)

    return make


async def letters(world, count: int, message: str = "no <index> & more") -> None:
    for number in range(count):
        event = {"specversion": "1.0", "id": f"e{number}", "source": "shop", "type": TOPIC, "data": {}}
        beside = {
            "group": GROUP,
            "reason": "internal",
            "error": "KeyError",
            "fingerprint": "f00d",
            "message": message,
        }
        await world.store.xadd(f"{TOPIC}.dlq", {"data": json.dumps(event), "metadata": json.dumps(beside)})
    await world.keeper.step()


async def well(world) -> None:
    await world.pool.execute("update dead_letter set state = 'discarded', settled_at = now()")


async def both(duty: Alerting) -> tuple[int, int]:
    """How many messages were decided on, and how many arrived."""
    return await duty.look(), await duty.send()


async def test_it_tells_once_in_a_cooldown_even_over_restarts_and_again_when_it_is_well(
    world, hook, alerting, clock
):
    await letters(world, 2)
    assert await both(alerting()) == (0, 0), "at the threshold it is not too many"
    await letters(world, 5)
    assert await both(alerting()) == (1, 1)
    assert await both(alerting()) == (0, 0), "a restart does not repeat it"
    await clock.advance(14 * 60)
    assert await both(alerting()) == (0, 0)
    await clock.advance(2 * 60)
    assert await both(alerting()) == (1, 1), "after the cooldown it is told again while it stays so"
    await well(world)
    assert await both(alerting()) == (1, 1)
    assert await both(alerting()) == (0, 0)
    assert [text.split()[1] for text in hook.texts] == ["has", "has", "is"]


async def test_flapping_within_the_cooldown_tells_nothing_new(world, hook, alerting, clock):
    await letters(world, 3)
    assert await both(alerting()) == (1, 1)
    await well(world)
    assert await both(alerting()) == (1, 1)
    await world.pool.execute("update dead_letter set state = 'waiting'")
    assert await both(alerting()) == (0, 0)
    await clock.advance(16 * 60)
    assert await both(alerting()) == (1, 1)
    assert len(hook.got) == 3


async def test_the_message_is_what_slack_takes_and_links_to_group_and_runbook(world, hook, alerting):
    await letters(world, 4)
    await both(alerting())
    [message] = hook.got
    assert set(message) == {"text", "blocks"}
    assert message["text"] == f"{TOPIC} has 4 open dead letters; more than 2 are too many."
    section, context = message["blocks"]
    assert (section["type"], section["text"]["type"], context["type"]) == ("section", "mrkdwn", "context")
    assert "no &lt;index&gt; &amp; more" in section["text"]["text"]
    assert (
        "<http://ops.example/api/v1/admin/dlq/failed-events?fingerprint=f00d|f00d>" in section["text"]["text"]
    )
    below = context["elements"][0]["text"]
    assert "<https://docs.example/run/dead-letters.md|runbook>" in below
    assert f"opsplane dlq groups --topic {TOPIC}" in below


@pytest.mark.parametrize(("answer", "told"), [(500, "answered 500"), (302, "redirects are not followed")])
async def test_what_was_refused_is_tried_again_and_redirects_are_not_followed(
    world, hook, alerting, clock, capsys, answer, told
):
    await letters(world, 3)
    hook.answers = [answer, answer]
    assert await both(alerting()) == (1, 0)
    assert await both(alerting()) == (0, 0), "not before its time"
    [row] = await alerts(world.pool)
    assert (row["firing"], row["tries"], row["sent_at"]) == (True, 1, None)
    assert told in row["error"]
    await clock.advance(3)
    assert await both(alerting()) == (0, 0)
    await clock.advance(10)
    assert await both(alerting()) == (0, 1)
    assert hook.paths == [f"/{SECRET}"] * 3
    assert SECRET not in capsys.readouterr().out, "the address is no business of the log"


async def test_resolved_comes_after_what_it_resolves(world, hook, alerting, clock):
    await letters(world, 3)
    hook.answers = [503]
    await both(alerting())
    await well(world)
    assert await both(alerting()) == (1, 0), "the first of the topic is not through yet"
    await clock.advance(10)
    assert [await alerting().send() for _ in range(2)] == [1, 1]
    assert [text.split()[1] for text in hook.texts] == ["has", "is"]


async def test_a_message_that_never_arrives_is_given_up(world, alerting, clock):
    await letters(world, 3)
    duty = alerting(url="http://127.0.0.1:9/nobody")
    await duty.look()
    for _ in range(40):
        await duty.send()
        await clock.advance(400)
    row = await world.pool.fetch_one("select tries, given_up_at from alert_message")
    assert row["tries"] == 30
    assert row["given_up_at"] is not None


async def test_a_webhook_that_hangs_keeps_no_dead_letter_from_being_recorded(world, hook, alerting):
    hook.delay = 1.0
    await letters(world, 3)
    async with world.running(alerting(interval=0.01), *world.duties()):
        async with asyncio.timeout(20):
            while not hook.paths:
                await asyncio.sleep(0.01)
        await world.store.xadd(f"{TOPIC}.dlq", {"data": "{}"})

        async def recorded():
            return (await deadletters.stats(world.pool))[TOPIC]["count"] == 4

        await world.eventually(recorded)


async def test_two_processes_tell_it_once(world, hook, alerting):
    await letters(world, 3)
    one, two = alerting(), alerting()
    assert sum(await asyncio.gather(one.look(), two.look())) == 1
    assert sum(await asyncio.gather(one.send(), two.send())) == 1
    assert len(hook.got) == 1


def test_settings_of_alerts_and_retention_are_checked():
    good = parse(
        "alerts: {webhook: 'http://10.0.0.1:8080/x', thresholds: {'*': 3}}\nretention: {inbox: 31d}", "f"
    )
    assert (good.alerts.cooldown, good.alerts.thresholds, good.retention.inbox) == (900, {"*": 3}, 31 * 86400)
    broken = """\
alerts:
  webhook: ftp://host/x
  runbooks: nowhere
  cooldwon: 5m
  thresholds: {Orders!: 3, a.b.*: many}
retention:
  dead_letters: 40d
  inbox: 35d
"""
    with pytest.raises(EventsRejected) as refused:
        parse(broken, "events.yaml")
    assert [(one.line, one.key, one.nearest) for one in refused.value.reasons] == [
        (2, "alerts.webhook", None),
        (3, "alerts.runbooks", None),
        (4, "alerts.cooldwon", "cooldown"),
        (5, "alerts.thresholds.Orders!", None),
        (5, "alerts.thresholds.a.b.*", None),
        (8, "retention.inbox", None),
    ]
    with pytest.raises(EventsRejected, match="1 error"):
        parse("retention: {dead_letters: 40d}", "events.yaml")


def test_a_process_does_not_start_with_settings_it_cannot_read(tmp_path):
    path = tmp_path / "events.yaml"
    path.write_text("retention: {dead_letters: 40d, inbox: 1d}")
    with pytest.raises(EventsRejected) as refused:
        EventsFile(path).at_start()
    assert "has its effect twice" in refused.value.violations[0]["message"]
    assert EventsFile(tmp_path / "none.yaml").at_start().retention.inbox == 30 * 86400
