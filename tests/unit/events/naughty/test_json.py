"""The JSON parsing suite: `y_` is a payload, `n_` is none, `i_` may be either; nothing is changed, nobody stops."""

from __future__ import annotations

import json

import msgspec
from tests.unit.events.naughty.conftest import DLQ, JSON_FILES, TOPIC, until

FILES = {path.name: path.read_bytes() for path in JSON_FILES}


async def accepted_over_http(chain) -> dict[str, str]:
    """The files a publisher may send, with the id of the event each became."""
    found = {}
    for name, body in FILES.items():
        answer = await chain.client.post(f"/api/v1/events/{TOPIC}", content=body)
        assert answer.status_code in {"y": (202,), "n": (400,), "i": (202, 400)}[name[0]], (name, answer.text)
        if answer.status_code == 202:
            found[name] = answer.json()["data"]["id"]
        else:
            assert answer.headers["content-type"] == "application/problem+json"
    return found


async def test_json_is_accepted_what_is_none_is_refused_and_a_payload_arrives_as_it_was_sent(chain):
    async with chain.running():
        accepted = await accepted_over_http(chain)
        assert await chain.store.xlen(TOPIC) == len(accepted), "nothing refused is on the stream"
        await until(lambda: len(chain.handled) == len(accepted))
    for name, event in accepted.items():
        assert chain.handled[event] == msgspec.json.decode(FILES[name]), name
    by_kind = {kind: sum(name.startswith(kind) for name in accepted) for kind in "yni"}
    print(f"\naccepted as payload: {by_kind} of { {k: sum(n.startswith(k) for n in FILES) for k in 'yni'} }")
    assert (by_kind["y"], by_kind["n"]) == (95, 0)


async def test_what_is_forced_onto_the_stream_becomes_a_dead_letter_with_its_bytes_intact(chain):
    """Bare bytes are no envelope, whatever kind of JSON they are."""
    await _forced(chain, {name: body for name, body in FILES.items() if body != b""}, undecodable=True)


async def test_envelopes_with_such_payloads_are_handled_or_dead_lettered_with_their_bytes_intact(chain):
    before = b'{"specversion":"1.0","type":"naughty.text.sent","source":"test","id":"%d","data":'
    bodies = {name: before % number + FILES[name] + b"}" for number, name in enumerate(FILES)}
    handled = await _forced(chain, bodies, undecodable=False)
    assert {name for name in FILES if name[0] == "y"} <= handled


async def test_naughty_bytes_beside_an_event_and_an_empty_entry_stop_nobody(chain):
    event = b'{"specversion":"1.0","type":"naughty.text.sent","source":"test","id":"1","data":1}'
    async with chain.running():
        for body in FILES.values():
            await chain.store.xadd(TOPIC, {b"data": event, b"metadata": body})
            await chain.store.xadd(f"{TOPIC}.dlq", {b"data": body, b"metadata": body})
        await chain.store.xadd(TOPIC, {b"other": b"\xff"})
        await chain.store.xadd(f"{TOPIC}.dlq", {b"\xff": b"\xff"})
        await chain.store.xadd(b"\xff.\xfe.\xfd", {b"data": b"\xff"})
        await chain.store.xadd(b"\xff.\xfe.\xfd.dlq", {b"data": b"\xff"})
        topics = await chain.client.get("/api/v1/events/topics")
        assert [one["topic"] for one in topics.json()["data"]] == [TOPIC]
        await until(lambda: _recorded(chain, len(FILES) + 2))


async def _recorded(chain, count: int) -> bool:
    [found] = await chain.pool.fetch("select count(*) as count from dead_letter where not untidy")
    return found["count"] == count


async def _forced(chain, bodies: dict[str, bytes], *, undecodable: bool) -> set[str]:
    async with chain.running():
        entries = dict(zip(await chain.force(*bodies.values()), bodies, strict=True))

        async def settled():
            found = await chain.letters()
            tidy = not any(row["untidy"] for row in found.values())
            return tidy and len(found) + len(chain.handled) == len(bodies) and found

        letters = await until(settled)
        assert len(letters) == len(bodies) or not undecodable
        for _ in range(2):  # as they came, and after a replay that ends the same way
            assert {row["reason"] for row in letters.values()} == {"undecodable"}
            sent = {entry: bodies[entries[entry]] for entry in letters}
            assert {entry: bytes(row["data"]) for entry, row in letters.items()} == sent
            assert await chain.bytes_on(f"{TOPIC}.dlq") == await chain.bytes_on("dlq:naughty-events") == sent
            await chain.replay()
            letters = await until(settled)
        for row in list(letters.values()):
            answer = await chain.client.get(f"{DLQ}/{row['id']}")
            assert (answer.status_code, row["failures"]) == (200, 3), answer.text
            json.loads(answer.content)
        dead = {entries[entry] for entry in letters}
    print(f"\n{len(bodies)} forced: {len(letters)} dead letters, {len(bodies) - len(letters)} handled")
    return set(bodies) - dead
