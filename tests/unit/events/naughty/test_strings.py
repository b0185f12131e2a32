"""The Big List of Naughty Strings through publish → consume → retry → dead letter → replay."""

from __future__ import annotations

import json

from tests.unit.events.naughty.conftest import BLNS, DLQ, GROUP, TOPIC, until

from opsplane.errors import InvalidInput
from opsplane.events import new_event
from opsplane.events.direct import DirectPublisher


def payload(text: str) -> dict:
    return {"text": text, "list": [text], "keys": {text: True}}


async def published(chain) -> dict[str, str]:
    """Every string published, each third through the outbox, directly and over HTTP, by the id of its event."""
    events = [new_event(TOPIC, payload(text), source="test") for text in BLNS[::3]]
    async with chain.pool.transaction() as tx:
        await chain.outbox.publish(tx, *events)
    found = {event.id: text for event, text in zip(events, BLNS[::3], strict=True)}
    publisher = DirectPublisher(chain.broker, chain.schemas)
    for text in BLNS[1::3]:
        done = await publisher.publish(TOPIC, payload(text), source="test")
        found[done.id] = text
    for text in BLNS[2::3]:
        answer = await chain.client.post(f"/api/v1/events/{TOPIC}", content=json.dumps(payload(text)))
        assert answer.status_code == 202, (text, answer.text)
        found[answer.json()["data"]["id"]] = text
    await until(lambda: _length(chain, len(BLNS)))
    return found


async def _length(chain, wanted: int) -> bool:
    return await chain.store.xlen(TOPIC) == wanted


async def test_naughty_strings_come_through_unchanged_and_stop_nobody(chain):
    chain.fail_until = 3  # the first attempt and its retry, and the first replay
    async with chain.running():
        texts = await published(chain)
        sent = await chain.bytes_published()

        async def all_waiting():
            found = await chain.letters()
            return (
                found
                if len(found) == len(BLNS) and not any(row["untidy"] for row in found.values())
                else None
            )

        for failures in (1, 2):
            letters = await until(all_waiting)
            assert {entry: row["data"] for entry, row in letters.items()} == sent
            assert await chain.bytes_on(f"{TOPIC}.dlq") == await chain.bytes_on("dlq:naughty-events") == sent
            for row in letters.values():
                text = texts[row["event_id"]]
                assert row["message"] == text[:2000].replace("\x00", "\ufffd")
                assert (row["failures"], row["reason"], len(row["attempts"])) == (
                    failures,
                    "rejected",
                    failures + 1,
                )
            await _shown(chain, letters, texts)
            await chain.replay()
        await until(lambda: len(chain.handled) == len(BLNS))
        assert {one: chain.handled[one] for one in texts} == {
            one: payload(text) for one, text in texts.items()
        }
        await until(lambda: _emptied(chain))
    settled = [line for line in chain.lines() if line["event"] == "events.settled"]
    told = [line["text"] for line in settled if line["result"] == "retry"]
    assert sorted(told) == sorted(text[:300] for text in BLNS), "one string is one line of the log"
    assert len(settled) == 3 * len(BLNS)
    print(f"\n{len(BLNS)} strings, {len(settled)} failures, bytes unchanged, {len(chain.handled)} handled")


async def _emptied(chain) -> bool:
    return not await chain.letters() and await chain.store.xlen(f"{TOPIC}.dlq") == 0


async def _shown(chain, letters, texts) -> None:
    """Operators see each, in lists and in full."""
    for row in list(letters.values())[::25]:
        answer = await chain.client.get(f"{DLQ}/{row['id']}")
        assert answer.status_code == 200
        assert answer.json()["data"]["event"]["data"] == payload(texts[row["event_id"]])
    for text in BLNS[::25]:
        for name in ("text", "event_id", "fingerprint", "topic", "group", "reason"):
            answer = await chain.client.get(f"{DLQ}/failed-events", params={name: text, "pageSize": 1})
            assert answer.status_code in (200, 400), (name, text, answer.text)


async def test_naughty_strings_as_what_an_event_is_about_are_stored_or_refused(chain):
    """An id, source, type or subject has to be printable: refused with 400, or carried unchanged."""
    taken = 0
    async with chain.running():
        for text in BLNS:
            for name in ("id", "source", "subject"):
                body = {"specversion": "1.0", "type": TOPIC, "source": "test", "data": text, name: text}
                answer = await chain.client.post(f"/api/v1/events/{TOPIC}", content=json.dumps(body))
                assert answer.status_code in (202, 400), (name, text, answer.text)
                taken += answer.status_code == 202
            try:
                async with chain.pool.transaction() as tx:
                    await chain.outbox.publish(tx, new_event(TOPIC, text, source="test", subject=text))
                taken += 1
            except InvalidInput:
                continue
        await until(lambda: _length(chain, taken))
        await until(lambda: _all_read(chain))
    assert taken > 3 * len(BLNS), "most are printable"


async def _all_read(chain) -> bool:
    [group] = [one for one in await chain.store.xinfo_groups(TOPIC) if one["name"].decode() == GROUP]
    last = (await chain.store.xinfo_stream(TOPIC))["last-generated-id"]
    return group["last-delivered-id"] == last and group["pending"] == 0
