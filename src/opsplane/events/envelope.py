"""CloudEvents 1.0 JSON envelopes, with the extensions Dapr puts beside them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec

from opsplane.errors import InvalidInput

T = TypeVar("T")
PUBSUB = "opsplane"


class Undecodable(InvalidInput):
    """The bytes are not a CloudEvents envelope."""


class Event(msgspec.Struct, Generic[T], frozen=True, kw_only=True, omit_defaults=True):
    """One event; `data` is its payload, decoded from JSON.

    `subject` is the ordering key, `sequence` its number within the subject (a decimal string, given by the
    outbox), `time` and `expiration` are UTC.
    """

    id: str
    source: str
    type: str
    specversion: str
    data: T | None = None
    topic: str | None = None
    pubsubname: str | None = None
    subject: str | None = None
    sequence: str | None = None
    time: datetime | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    expiration: datetime | None = None
    data_base64: str | None = None


class _Flat(msgspec.Struct, frozen=True):
    """The flat envelope some applications put into the payload themselves."""

    event_id: str
    event_type: str
    source: str
    data: Any
    timestamp: datetime | None = None
    event_version: str | None = None


_encoder = msgspec.json.Encoder(uuid_format="canonical", decimal_format="number")
_decoder = msgspec.json.Decoder(Event[Any])


def new_event(
    topic: str,
    data: Any,
    *,
    source: str,
    subject: str | None = None,
    id: str | None = None,  # noqa: A002  the envelope's own name
    expiration: datetime | None = None,
    traceparent: str | None = None,
) -> Event[Any]:
    """An event of type `topic` about `subject`, happening now, with a random id unless one is given."""
    return Event(
        id=id or str(uuid.uuid4()),
        source=source,
        type=topic,
        specversion="1.0",
        data=data,
        topic=topic,
        pubsubname=PUBSUB,
        subject=subject,
        time=datetime.now(UTC),
        datacontenttype="application/json",
        expiration=expiration,
        traceparent=traceparent,
    )


def encode(event: Event[Any]) -> bytes:
    """The envelope as JSON bytes; fields without a value are left out."""
    return _encoder.encode(event)


def decode(data: bytes) -> Event[Any]:
    """The event in JSON bytes; raises `Undecodable`."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise Undecodable(f"Not a CloudEvents envelope: {error}.") from error


def wrap(topic: str, body: Any, *, source: str, subject: str | None = None) -> Event[Any]:
    """An event of any JSON body: an envelope is filled in, a flat one is recognised, anything else is wrapped."""
    if isinstance(body, dict) and "specversion" in body:
        filled = {
            "topic": topic,
            "pubsubname": PUBSUB,
            "type": topic,
            "source": source,
            "id": str(uuid.uuid4()),
        }
        try:
            return msgspec.convert(filled | body, Event[Any])
        except msgspec.ValidationError as error:
            raise Undecodable(f"Not a CloudEvents envelope: {error}.") from error
    if isinstance(body, dict) and {"event_id", "event_type", "source", "data"} <= body.keys():
        flat = msgspec.convert(body, _Flat, strict=False)
        return new_event(topic, body, source=flat.source, subject=subject, id=flat.event_id)
    return new_event(topic, body, source=source, subject=subject)


def numbered(envelope: bytes, sequence: int) -> bytes:
    """The encoded envelope with its `sequence` added, without decoding it."""
    return b'%b,"sequence":"%d"}' % (envelope[:-1], sequence)
