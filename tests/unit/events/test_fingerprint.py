"""One cause has one fingerprint, another cause another one."""

from __future__ import annotations

import asyncio

import pytest

from opsplane.errors import InvalidInput
from opsplane.events import Reject, consumer, encode, new_event, wrap
from opsplane.events.broker import Delivered
from opsplane.events.chain import Deadlines, Effects, HandlerTimedOut, Work
from opsplane.events.chain.fingerprint import fingerprint, general

TOPIC = "shop.item.created"


def of(call, topic: str = TOPIC, reason: str = "internal") -> str:
    with pytest.raises(Exception) as met:
        call()
    return fingerprint(reason, met.value, topic)


def price_of(item: dict[str, str]) -> float:
    return float(item["price"])


def refused(*violations: tuple[str, str]) -> str:
    found = [{"pointer": pointer, "keyword": keyword, "message": "…"} for pointer, keyword in violations]
    return fingerprint("validation", InvalidInput("bad", violations=found), TOPIC)


def test_values_do_not_separate_and_places_do():
    assert of(lambda: price_of({"price": "x"})) == of(lambda: price_of({"price": "y"}))
    assert of(lambda: price_of({"price": "x"})) != of(lambda: price_of({})), "another class"


def test_two_statements_of_one_function_are_two_causes():
    def handle(kind: str) -> None:
        if kind == "a":
            raise Reject("unknown category")
        raise Reject("negative stock")

    assert of(lambda: handle("a")) == of(lambda: handle("a"))
    assert of(lambda: handle("a")) != of(lambda: handle("b"))


def test_depth_of_recursion_and_raising_one_error_again_do_not_separate():
    def dig(depth: int) -> float:
        return dig(depth - 1) if depth else price_of({})

    assert of(lambda: dig(2)) == of(lambda: dig(9))
    kept = RuntimeError("made once")

    def again() -> None:
        raise kept

    assert of(again) == of(again) == of(again)


def test_what_opsplane_raises_for_two_callers_is_two_causes():
    """Its own frames are deeper than the three that count, and alike for both."""

    def one() -> None:
        wrap(TOPIC, {"specversion": 1}, source="shop")

    def other() -> None:
        wrap(TOPIC, {"specversion": 1}, source="shop")

    assert of(one) == of(one)
    assert of(one) != of(other)


def test_the_topic_does_not_separate_a_bug_and_separates_what_no_code_tells():
    call = lambda: price_of({"price": "x"})  # noqa: E731
    assert of(call, "a.b.c") == of(call, "x.y.z")
    late = HandlerTimedOut("late")
    assert fingerprint("timeout", late, "a.b.c") != fingerprint("timeout", late, "x.y.z")


def test_what_was_raised_from_an_error_is_told_by_it():
    def handle(item: dict[str, str]) -> None:
        try:
            price_of(item)
        except (KeyError, ValueError) as error:
            raise RuntimeError("not indexed") from error

    assert of(lambda: handle({})) == of(lambda: handle({}))
    assert of(lambda: handle({})) != of(lambda: handle({"price": "x"}))


def test_a_group_of_errors_is_what_is_in_it():
    async def many(*items: dict[str, str]) -> None:
        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(asyncio.to_thread(price_of, item))

    one, two = {"price": "x"}, {"price": "y"}
    assert of(lambda: asyncio.run(many(one))) == of(lambda: asyncio.run(many(one, two)))
    assert of(lambda: asyncio.run(many(one))) != of(lambda: asyncio.run(many({})))


async def test_a_bug_is_the_same_in_a_batch_and_alone():
    """The frames of opsplane, which differ, are left out."""

    @consumer(TOPIC, group="indexer", batch=5)
    async def index(events, ctx):
        for event in events:
            price_of(event.data)

    def work() -> Work:
        event = new_event(TOPIC, {"price": "x"}, source="shop")
        found = Work(Delivered(TOPIC, "1-0", encode(event), {}))
        found.consumer, found.event = index, event
        return found

    effects = Effects(None, Deadlines())
    prints = set()
    for run in (lambda: effects.one(work()), lambda: effects.many(index, [work(), work()])):
        with pytest.raises(ValueError, match="could not convert") as met:
            await run()
        prints.add(fingerprint("internal", met.value, TOPIC, index.handler))
    assert len(prints) == 1


def test_violations_are_told_by_place_and_keyword():
    assert refused(("/price", "type"), ("/sku", "required")) == refused(
        ("/sku", "required"), ("/price", "type")
    )
    assert refused(("/price", "type")) != refused(("/price", "minimum"))
    assert refused(("/price", "type")) != refused(("/sku", "type"))
    assert refused(("/items/0/sku", "type")) == refused(("/items/7/sku", "type"), ("/items/12/sku", "type"))
    assert general("/items/3/parts/4") == "/items/*/parts/*"
    assert general("/sku2/3d") == "/sku2/3d"
