"""Dead letters exported and imported: bytes exact, twice is once, all lines or none."""

from __future__ import annotations

import json
from base64 import b64decode
from types import SimpleNamespace

import pytest

from opsplane.errors import InvalidInput
from opsplane.events import actions, deadletters
from opsplane.events.actions import EditLetter, ImportLetters, RetryLetters
from opsplane.events.deadletters import OPEN, STATES, Selection
from opsplane.events.personal import Personal

TOPIC, GROUP = "catalog.product.created", "search-service"
ALL = Selection(everything=True)


async def exported(world, personal=None, states=OPEN) -> list[bytes]:
    return [line async for line in deadletters.export(world.pool, ALL, states=states, personal=personal)]


def given(*lines: bytes) -> ImportLetters:
    async def each():
        for line in lines:
            yield line

    return ImportLetters(lines=each(), source="a test")


async def forget(world) -> None:
    """As on another installation."""
    await world.store.flushall()
    await world.pool.execute("truncate dead_letter, replay, dead_letter_position cascade")


async def test_what_was_exported_elsewhere_is_imported_once_and_can_be_replayed(world):
    async with world.running(*world.duties(), world.group()):
        await world.force({"sku": "a", "price": "x"})
        await world.force({"sku": "b"})
        await world.eventually(lambda: world.has(2))
        first = min(row["id"] for row in await world.letters())
        await actions.EDIT.apply(world.backbone, EditLetter(letter=first, because="text", put={"/price": 1}))
        lines = await exported(world)
    before = await _facts(world)
    assert await world.pool.fetch_one("select count(*) from dead_letter_edit") == {"count": 1}
    assert (await actions.IMPORT.apply(world.backbone, given(*lines))).known == 2, "they are here"

    await forget(world)
    preview = await actions.IMPORT.preview(world.backbone, given(*lines))
    assert preview.count == 2
    assert await world.letters() == []
    assert (await actions.IMPORT.apply(world.backbone, given(*lines, b"\n"))).imported == 2
    again = await actions.IMPORT.apply(world.backbone, given(*lines))
    assert (again.imported, again.known) == (0, 2)
    assert await _facts(world) == before
    assert len((await deadletters.page(world.pool, Selection(text="violation")))[0]) == 2, "and are found"
    async with world.running(*world.duties(), world.group()):
        await world.eventually(lambda: world.has(2))
        world.accept_everything()
        replay = await actions.RETRY.apply(world.backbone, RetryLetters(selection=ALL))
        done = await world.eventually(lambda: world.finished(replay.id))
        assert (done.resolved, done.failed) == (2, 0)
        await world.eventually(lambda: world.has(0))
    assert len(set(await world.effects())) == 2
    settled = await exported(world, states=STATES)
    await forget(world)
    assert (await actions.IMPORT.apply(world.backbone, given(*settled))).settled == 2
    assert await world.letters() == []


async def _facts(world):
    statement = """
        select uid, topic, consumer_group, alias, event_id, data, edited, reason, error, message, fingerprint, violations,
            attempts, failures, first_failed_at, last_failed_at, state from dead_letter order by uid
    """
    return await world.pool.fetch(statement)


@pytest.mark.parametrize(
    "body", [b"\xff\x00\xfe", b'{"a": 1.50 ,"b":"\\u00e4\\/"}', "ü\n\u2028\r\n".encode(), b""]
)
async def test_bytes_are_exact(world, body):
    await world.store.xadd(f"{TOPIC}.dlq", {"data": body})
    await world.keeper.ingest.step()
    [line] = await exported(world, world.backbone.personal)
    assert line.count(b"\n") == 1
    written = json.loads(line)
    assert (written["data"].encode() if "data" in written else b64decode(written["dataBase64"])) == body
    await forget(world)
    await actions.IMPORT.apply(world.backbone, given(line))
    row = await world.pool.fetch_one("select data from dead_letter")
    assert row["data"] == body


async def test_bad_lines_are_named_and_nothing_is_imported(world):
    await world.force({"sku": "a", "price": "x"})
    async with world.running(world.group()):
        await world.eventually(lambda: world.store.xlen(f"{TOPIC}.dlq"))
    await world.keeper.step()
    [line] = await exported(world)
    good = json.loads(line)
    await forget(world)
    bad = [
        b"not json",
        json.dumps({**good, "colour": 1}).encode(),
        json.dumps({**good, "uid": "7"}).encode(),
        json.dumps({**good, "data": None, "dataBase64": "!"}).encode(),
        json.dumps({name: value for name, value in good.items() if name != "data"}).encode(),
        json.dumps({**good, "masked": True}).encode(),
        json.dumps({**good, "failures": "one"}).encode(),
        json.dumps({**good, "topic": ""}).encode(),
    ]
    with pytest.raises(InvalidInput) as refused:
        await actions.IMPORT.apply(world.backbone, given(line, *bad, line))
    assert [one["line"] for one in refused.value.violations] == list(range(2, 2 + len(bad)))
    assert await world.letters() == []


async def test_personal_data_is_masked_in_an_export_and_such_a_line_is_not_imported(world):
    document = {"properties": {"sku": {"x-personal": True}, "price": {}}}
    personal = Personal(SimpleNamespace(get=lambda kind: SimpleNamespace(document=document, scope="data")))
    await world.force({"sku": "canary-7Qx", "price": "x"})
    async with world.running(world.group()):
        await world.eventually(lambda: world.store.xlen(f"{TOPIC}.dlq"))
    await world.keeper.step()
    [line] = await exported(world, personal)
    assert b"canary" not in line
    assert json.loads(line)["event"]["data"] == {"sku": "•••", "price": "x"}
    with pytest.raises(InvalidInput, match="1 of 1"):
        await actions.IMPORT.apply(world.backbone, given(line))
