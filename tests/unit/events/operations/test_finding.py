"""Dead letters are found by what is in them, by the same conditions everywhere, and fast however many there are."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from opsplane.errors import InvalidInput
from opsplane.events import deadletters
from opsplane.events.deadletters import Selection, moment, words

TOPIC, GROUP = "catalog.product.created", "search-service"
OTHER = "orders.order.created"


async def letter(world, number: int, *, topic: str = TOPIC, **beside) -> None:
    event = {
        "specversion": "1.0", "id": f"e{number}", "source": "shop", "type": topic, "subject": f"TEA-{number:04}",
        "data": {"sku": f"TEA-{number:04}", "name": beside.pop("name", "Grüner Tee")},
    }  # fmt: skip
    facts = {"group": GROUP, "reason": "internal", "error": "KeyError", "message": "no price", **beside}
    facts.setdefault("fingerprint", facts["reason"])
    await world.store.xadd(f"{topic}.dlq", {"data": json.dumps(event), "metadata": json.dumps(facts)})


async def found(world, **conditions) -> list[str]:
    rows, total = await deadletters.page(world.pool, Selection(**conditions))
    assert total == len(rows)
    return sorted(row["event_id"] for row in rows)


@pytest.fixture
async def letters(world):
    await letter(world, 1)
    await letter(world, 2, topic=OTHER, reason="validation", error="SchemaRejected", violations=json.dumps(
        [{"pointer": "/items/3/sku", "keyword": "type", "message": "…"}]))  # fmt: skip
    await letter(
        world, 3, group="audit-service", message="The index refused kyrgyz-Äpfel, 茶葉 too", name="x" * 50_000
    )
    await letter(world, 4, failedAt="2020-05-01T12:00:00+00:00")
    await world.keeper.step()
    return world


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        ({"text": "refused index"}, ["e3"]),
        ({"text": "INDEX äpf"}, ["e3"]),
        ({"text": "茶"}, ["e3"]),
        ({"text": "tea-0004"}, ["e4"]),
        ({"text": "grüner"}, ["e1", "e2", "e4"]),
        ({"text": "rejected"}, ["e2"]),
        ({"text": "keyerror price"}, ["e1", "e4"]),
        ({"text": "nowhere"}, []),
        ({"text": "it's \\ 'quoted' & | !"}, []),
        ({"pointer": "/items/3/sku"}, ["e2"]),
        ({"pointer": "/items/17/sku"}, ["e2"]),
        ({"pointer": "/sku"}, []),
        ({"topic": OTHER}, ["e2"]),
        ({"topic": "*.product.*"}, ["e1", "e3", "e4"]),
        ({"topic": "catalog_product_created"}, []),
        ({"group": "audit-service"}, ["e3"]),
        ({"groups": (GROUP, 'a"b,{}')}, ["e1", "e2", "e4"]),
        ({"error": "SchemaRejected"}, ["e2"]),
        ({"subject": "TEA-0001"}, ["e1"]),
        ({"event_type": OTHER}, ["e2"]),
        ({"until": datetime(2021, 1, 1, tzinfo=UTC)}, ["e4"]),
        ({"since": datetime(2021, 1, 1)}, ["e1", "e2", "e3"]),  # noqa: DTZ001  UTC is meant
        ({"text": "price", "since": datetime(2021, 1, 1, tzinfo=UTC)}, ["e1", "e2"]),
        ({"event_id": "e1\x00"}, []),
        ({"ids": (1, 2)}, ["e1", "e2"]),
    ],
    ids=str,
)
async def test_all_conditions_hold(letters, conditions, ids):
    if conditions == {"ids": (1, 2)}:
        rows = await letters.letters()
        conditions = {"ids": tuple(row["id"] for row in rows if row["event_id"] in ids)}
    assert await found(letters, **conditions) == ids


async def test_groups_and_counts_take_the_same_conditions(letters):
    chosen = Selection(group=GROUP, since=datetime(2021, 1, 1, tzinfo=UTC))
    assert {row["fingerprint"]: row["count"] for row in await deadletters.groups(letters.pool, chosen)} == {
        "internal": 1,
        "validation": 1,
    }
    stats = await deadletters.stats(letters.pool, chosen)
    assert {topic: facts["count"] for topic, facts in stats.items()} == {TOPIC: 1, OTHER: 1}


async def test_a_page_past_the_end_still_tells_how_many_there_are(letters):
    assert await deadletters.page(letters.pool, Selection(), offset=100) == ([], 4)


async def test_what_was_recorded_before_there_was_an_index_is_found_after_a_start(letters):
    await letters.pool.execute("delete from dead_letter_text")
    assert await found(letters, text="refused") == []
    await letters.keeper._index()
    assert await found(letters, text="refused") == ["e3"]
    assert await found(letters, pointer="/items/0/sku") == ["e2"]


def test_words_are_cut_alike_from_text_and_question():
    assert words.words("SchemaRejected at /items/0/sku") == [
        "schemarejected", "schema", "rejected", "at", "items", "0", "sku",
    ]  # fmt: skip
    assert words.query("Ｆｕｌｌ width") == "'full':* & 'width':*"
    with pytest.raises(InvalidInput):
        words.query("…!")


def test_times_are_understood():
    now = datetime(2026, 1, 10, 12, tzinfo=UTC)
    assert moment("2h", now) == now - timedelta(hours=2)
    assert moment("2026-01-09", now) == datetime(2026, 1, 9, tzinfo=UTC)
    assert moment("2026-01-09T10:00+01:00", now) == datetime(2026, 1, 9, 9, tzinfo=UTC)
    for wrong in ("yesterday", "", "99999999999d"):
        with pytest.raises(InvalidInput):
            moment(wrong, now)


@pytest.mark.parametrize(
    ("conditions", "index"),
    [
        ({"text": "tea 7777"}, "dead_letter_words"),
        ({"pointer": "/rare"}, "dead_letter_pointers"),
        ({"fingerprint": "rare"}, "dead_letter_cause"),
        ({"event_id": "e7777"}, "dead_letter_event"),
        ({"topic": "rare.topic.*"}, "dead_letter_topic"),
        ({"group": "rare"}, "dead_letter_group"),
    ],
    ids=str,
)
async def test_every_condition_that_names_few_of_20_000_uses_an_index(world, conditions, index):
    await world.pool.execute("""
        with made as (
            insert into dead_letter (stream, stream_id, topic, consumer_group, event_id, data, reason, message, fingerprint,
                attempts, first_failed_at, last_failed_at)
            select 's', n::text, case when n = 5 then 'rare.topic.x' else 'shop.item.created' end,
                case when n = 5 then 'rare' else 'g' end, 'e' || n, '{}', 'internal', 'm',
                case when n = 5 then 'rare' else 'often' end, '[]', now(), now()
            from generate_series(1, 20000) as n returning id, stream_id, fingerprint
        ) insert into dead_letter_text
        select id, array_to_tsvector(array['tea', stream_id]),
            case when fingerprint = 'rare' then '{/rare}'::text[] else '{}' end from made
    """)
    await world.pool.execute("vacuum analyze dead_letter, dead_letter_text")
    statement = "explain select id from dead_letters_matching('{waiting}', %(chosen)s)"
    facts = Selection(**conditions).parameters()
    plan = "\n".join(row["QUERY PLAN"] for row in await world.pool.fetch(statement, facts))
    assert index in plan
    assert "Seq Scan" not in plan
