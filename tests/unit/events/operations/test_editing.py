"""Editing a dead letter: the original stays, the edit is checked and kept, the replay sends it and has one effect."""

from __future__ import annotations

import json

import pytest

from opsplane.errors import Conflict, InvalidInput, NotFound
from opsplane.events import actions, deadletters
from opsplane.events.actions import EditLetter, RetryLetters
from opsplane.events.deadletters import Selection
from opsplane.events.deadletters.edits import difference, edited, encoded
from opsplane.events.schemas import SchemaRejected

TOPIC, GROUP = "catalog.product.created", "search-service"


def edit(letter: int, because: str = "the price came as text", **change) -> EditLetter:
    return EditLetter(letter=letter, because=because, **change)


async def test_edited_then_replayed_it_has_its_effect_and_the_original_stays(world):
    async with world.running(*world.duties(), world.group(), world.other_group()):
        await world.force({"sku": "a", "price": "12"})
        [letter] = await world.eventually(world.letters)
        original = (await world.pool.fetch_one("select data from dead_letter"))["data"]
        with pytest.raises(SchemaRejected) as refused:
            await actions.EDIT.apply(world.backbone, edit(letter["id"], put={"/price": -1}, cut=("/sku",)))
        assert {one["pointer"] for one in refused.value.violations} == {"/price", "/sku"}
        assert not (await deadletters.show(world.pool, letter["id"]))["edits"]

        shown = await actions.EDIT.apply(world.backbone, edit(letter["id"], put={"/price": 12}))
        [kept] = shown["edits"]
        assert (kept["by"], kept["because"], kept["violations"]) == ("alice", "the price came as text", [])
        assert kept["changes"] == [{"place": "/data/price", "before": "12", "after": 12}]
        assert shown["event"]["data"]["price"] == "12"
        replay = await actions.RETRY.apply(
            world.backbone, RetryLetters(selection=Selection(ids=(letter["id"],)))
        )
        done = await world.eventually(lambda: world.finished(replay.id))
        assert (done.resolved, done.failed) == (1, 0)
        assert await world.effects() == [letter["event_id"]], "it is the same event"
        await world.eventually(lambda: world.has(0))
    row = await world.pool.fetch_one("select data, edited from dead_letter")
    assert (row["data"], json.loads(row["edited"])["data"]) == (original, {"sku": "a", "price": 12})
    assert world.bystander == [letter["event_id"]], "other groups do not see it again"


async def test_forced_it_is_kept_with_its_violations_and_fails_again_under_the_same_number(world):
    async with world.running(*world.duties(), world.group()):
        await world.force({"sku": "a", "price": "12"})
        [letter] = await world.eventually(world.letters)
        shown = await actions.EDIT.apply(world.backbone, edit(letter["id"], data={"price": 1}, force=True))
        assert [one["pointer"] for one in shown["edits"][0]["violations"]] == ["/sku"]
        replay = await actions.RETRY.apply(world.backbone, RetryLetters(selection=Selection(everything=True)))
        done = await world.eventually(lambda: world.finished(replay.id))
        assert done.failed == 1
        [again] = await world.letters()
        assert (again["id"], again["state"], again["failures"]) == (letter["id"], "waiting", 2)
        shown = await deadletters.show(world.pool, letter["id"])
        assert shown["event"]["data"]["price"] == "12", "the original, although the edited bytes failed last"
        await actions.EDIT.apply(world.backbone, edit(letter["id"], "now right", put={"/sku": "b"}))
        assert [one["because"] for one in (await deadletters.show(world.pool, letter["id"]))["edits"]] == [
            "the price came as text",
            "now right",
        ]


async def test_what_an_edit_must_not_do(world):
    async with world.running(world.group()):
        await world.force({"sku": "a", "price": "12"})
        await world.force(b"not json")
        await world.eventually(lambda: _two(world))
    await world.keeper.step()
    letters = {row["reason"]: row["id"] for row in await world.letters()}
    valid, broken = letters["validation"], letters["undecodable"]
    apply = actions.EDIT.apply
    event = (await deadletters.show(world.pool, valid))["event"]
    for wrong in (
        edit(valid, " ", put={"/price": 1}),
        edit(valid, put={"/price": "12"}),  # nothing changes
        edit(valid, put={"/no/where": 1}),
        edit(valid, cut=("/colour",)),
        edit(valid, put={"price": 1}),
        edit(valid, put={"/price": "•••"}),
        edit(valid, event={**event, "id": "another"}),
        edit(valid, event=[1]),
    ):
        with pytest.raises(InvalidInput):
            await apply(world.backbone, wrong)
    with pytest.raises(Conflict, match="no CloudEvents"):
        await apply(world.backbone, edit(broken, put={"/price": 1}))
    with pytest.raises(NotFound):
        await apply(world.backbone, edit(999, put={"/price": 1}))
    await apply(
        world.backbone, edit(broken, event={**event, "id": "mended", "data": {"sku": "a", "price": 1}})
    )
    [mended] = [row for row in await world.letters() if row["id"] == broken]
    assert mended["event_id"] == "mended"
    await actions.RETRY.apply(world.backbone, RetryLetters(selection=Selection(ids=(valid,))))
    with pytest.raises(Conflict, match="replaying"):
        await apply(world.backbone, edit(valid, put={"/price": 1}))
    assert len(await world.pool.fetch("select from dead_letter_edit")) == 1


async def _two(world) -> bool:
    return await world.store.xlen(f"{TOPIC}.dlq") == 2


def test_places_are_put_and_cut():
    event = {"id": "1", "data": {"items": [{"a/b": 1}, 2], "~": 0}}
    put = {"/items/0/a~1b": 5, "/items/-": 3, "/items/3": 4, "/~0": None, "/new": {"x": 1}}
    changed = edited(event, put=put, cut=("/items/1",))
    assert changed["data"] == {"items": [{"a/b": 5}, 3, 4], "~": None, "new": {"x": 1}}
    assert event["data"]["~"] == 0, "the event given is not touched"
    assert edited(event, put={"": 7})["data"] == 7
    assert difference({"a": [1, 2], "b": True}, {"a": [1], "b": 1, "c": None}) == [
        {"place": "/a/1", "before": 2},
        {"place": "/b", "before": True, "after": 1},
        {"place": "/c", "after": None},
    ]


def test_numbers_and_text_survive_an_edit():
    text = '{"big":123456789012345678901234567890,"small":1e-7,"half":"\\ud800","ä":"ü"}'
    assert json.loads(encoded(json.loads(text))) == json.loads(text)
