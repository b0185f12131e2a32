from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsplane.events import Event, decode, encode, new_event, wrap
from opsplane.events.envelope import Undecodable, numbered

TOPIC = "shop.item.created"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
)  # fmt: skip


@given(JSON)
def test_any_json_payload_comes_back_as_it_was(data):
    event = new_event(TOPIC, data, source="test", subject="s")
    assert decode(encode(event)) == event


@given(JSON)
def test_wrapping_any_json_body_gives_an_event_or_says_why_not(body):
    try:
        event = wrap(TOPIC, body, source="test")
    except Undecodable:
        return
    assert decode(encode(event)).id == event.id


def test_fields_without_a_value_are_left_out():
    fields = msgspec.json.decode(encode(new_event(TOPIC, {}, source="test")))
    assert set(fields) == {
        "id", "source", "type", "specversion", "data", "topic", "pubsubname", "time", "datacontenttype",
    }  # fmt: skip


def test_an_envelope_passes_through_filled_in_with_its_extensions():
    body = {
        "specversion": "1.0",
        "id": "7",
        "source": "/other",
        "data": {"a": 1},
        "mood": "good",
        "topic": "lie",
    }
    fields = msgspec.json.decode(encode(wrap(TOPIC, body, source="gateway")))
    assert fields["mood"] == "good"
    assert (fields["id"], fields["source"], fields["type"], fields["topic"]) == ("7", "/other", TOPIC, TOPIC)
    assert "extensions" not in fields


def test_a_flat_envelope_gives_its_id_source_and_time():
    body = {
        "event_id": "e-1", "event_type": "x", "event_version": "1.0", "timestamp": "2026-01-02T03:04:05Z",
        "source": "legacy", "data": {"a": 1},
    }  # fmt: skip
    event = wrap(TOPIC, body, source="gateway")
    assert (event.id, event.source, event.time.isoformat()) == ("e-1", "legacy", "2026-01-02T03:04:05+00:00")
    assert event.data == body


@pytest.mark.parametrize(
    "body",
    [
        {"specversion": 1},
        {"specversion": "1.0", "time": "yesterday"},
        {"specversion": "1.0", "id": ""},
        {"specversion": "1.0", "id": "a\x00b"},
        {"specversion": "1.0", "subject": "x" * 501},
        {"specversion": "1.0", "Bad Name": 1},
        {"event_id": "e", "event_type": "t", "source": "s", "data": {}, "timestamp": "never"},
        {"event_id": "e\n", "event_type": "t", "source": "s", "data": {}},
    ],
)
def test_an_impossible_envelope_is_refused(body):
    with pytest.raises(Undecodable):
        wrap(TOPIC, body, source="gateway")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'{"id":"1"}', b"\xff", b"[" * 100_000])
def test_bytes_that_are_no_envelope_are_undecodable(data):
    with pytest.raises(Undecodable):
        decode(data)


def test_a_sequence_is_added_without_decoding():
    event = new_event(TOPIC, {"a": "}"}, source="test")
    found = decode(numbered(encode(event), 41))
    assert found == msgspec.structs.replace(event, sequence="41")
    assert isinstance(found, Event)
