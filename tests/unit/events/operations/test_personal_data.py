"""A canary: a value its schema calls personal appears in nothing people look at, unless they may, and that is written down."""

from __future__ import annotations

import json

import pytest
import structlog

from opsplane.events import ConsumerGroup, Schemas, actions, consumer, deadletters, new_event
from opsplane.events.actions import EditLetter
from opsplane.events.alerts import Alerting
from opsplane.events.api import handlers
from opsplane.events.configuration import EventsFile
from opsplane.events.deadletters import STATES, Selection
from opsplane.telemetry import render_metrics

TOPIC = "catalog.product.created"
DLQ = "/api/v1/admin/dlq"
CANARY = "canary-7Qx@example.org"
SCHEMA = {
    "type": "object",
    "required": ["sku", "email"],
    "properties": {
        "sku": {"type": "string"},
        "email": {"type": "string", "maxLength": 40, "x-personal": True},
    },
}


def annotated(world, tmp_path, *, personal: bool = True) -> None:
    document = json.loads(json.dumps(SCHEMA))
    document["properties"]["email"]["x-personal"] = personal
    path = tmp_path / "annotated" / TOPIC / "1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(document))
    world.schemas = Schemas.load(tmp_path / "annotated")


def careless(world) -> ConsumerGroup:
    @consumer(TOPIC, group="search-service", dead_letters="search-events")
    async def index(event, ctx):
        raise RuntimeError(f"cannot write {event.data!r}")

    return ConsumerGroup([index], world.service, world.broker, world.schemas)


async def fail(world) -> None:
    """Dead letters by the schema, by a handler that tells all it has, by bytes that are no event, by an edit."""
    async with world.running(*world.duties(), careless(world)):
        async with world.pool.transaction() as tx:
            await world.outbox.publish(tx, new_event(TOPIC, {"sku": "a", "price": 1}, source="shop"))
        await world.force({"sku": 7, "email": f"{CANARY}{'x' * 600}"})
        await world.force({"sku": "a", "emial": CANARY, "email": CANARY})
        await world.force([CANARY])
        await world.force(CANARY.encode())
        await world.eventually(lambda: world.has(4))
    first = min(row["id"] for row in await world.letters())
    await actions.EDIT.apply(
        world.backbone, EditLetter(letter=first, because="typo", put={"/sku": "b", "/email": f"2{CANARY}"})
    )


async def everything(client) -> str:
    """All that staff can see of dead letters."""
    texts = []
    for path in ("stats", "groups", "failed-events?state=all&pageSize=500", "export?state=all", "replays"):
        answer = await client.get(f"{DLQ}/{path}")
        assert answer.status_code == 200
        texts.append(answer.text)
    for row in json.loads(texts[2])["data"]:
        texts.append((await client.get(f"{DLQ}/{row['id']}")).text)
    dry = {"selection": {"everything": True}, "dryRun": True}
    texts.append((await client.post(f"{DLQ}/replays", json=dry)).text)
    return "".join(texts)


@pytest.fixture(autouse=True)
def _logs_are_seen():
    """A command that was run in this process before may have sent them elsewhere."""
    structlog.reset_defaults()


@pytest.fixture
async def looked_at(world, tmp_path, served):
    async def look(*, personal: bool):
        annotated(world, tmp_path, personal=personal)
        client = await served(handlers(world.backbone, world.direct, {}))
        await fail(world)
        return client

    return look


async def test_the_canary_is_nowhere_but_for_those_who_may_see_it(world, looked_at, capsys, tmp_path):
    client = await looked_at(personal=True)
    seen = await everything(client)
    assert seen.count("•••") > 10
    assert CANARY not in seen
    assert CANARY[:8] not in seen
    (tmp_path / "events.yaml").write_text(
        "alerts: {webhook: 'http://127.0.0.1:9/', thresholds: {'catalog.product.*': 1}}"
    )
    assert await Alerting(world.pool, EventsFile(tmp_path / "events.yaml")).look() == 1
    assert CANARY not in str(await world.pool.fetch("select payload from alert_message"))
    assert CANARY not in capsys.readouterr().out
    assert CANARY not in render_metrics().decode()
    rows, _ = await deadletters.page(world.pool, Selection(text="canary"), states=STATES)
    assert rows == [], "nor can it be asked for"

    letter = min(row["id"] for row in await world.letters())
    path, why = f"{DLQ}/{letter}?unmasked=true", "&because=a+customer+asks"
    assert (await client.get(path + why)).status_code == 403
    reader = client.as_("operations_staff", "personal_data_reader")
    assert (await client.get(path, headers=reader)).status_code == 400, "no reason"
    shown = (await client.get(path + why, headers=reader)).json()["data"]
    assert CANARY in shown["event"]["data"]["email"]
    assert CANARY in shown["edits"][0]["changes"][1]["after"]
    assert (await client.get(f"{DLQ}/export?unmasked=true{why}")).status_code == 403
    lines = (await client.get(f"{DLQ}/export?unmasked=true{why}", headers=reader)).text
    assert lines.count(CANARY) >= 4
    audited = await world.pool.fetch("select * from audit where action = 'dlq.read_personal' order by id")
    assert [row["outcome"] for row in audited] == ["failed: InvalidInput", "done", "done"]
    assert {row["actor"] for row in audited} == {"eve"}
    assert audited[1]["parameters"]["letter"] == letter
    assert CANARY not in str(audited)


async def test_control_without_the_annotation_the_same_look_finds_the_canary(world, looked_at, capsys):
    client = await looked_at(personal=False)
    assert CANARY in await everything(client)
    assert CANARY in capsys.readouterr().out
