"""CloudEvents 1.0 JSON envelopes, with the extensions Dapr puts beside them."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec

from opsplane.errors import InvalidInput

T = TypeVar("T")
PUBSUB = "opsplane"
LONGEST = 500
# What decoding raises for bytes that are no JSON.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_EXTENSION = re.compile(r"[a-z0-9_]+")


class Undecodable(InvalidInput):
    """The bytes are not a CloudEvents envelope."""


class Event(msgspec.Struct, Generic[T], frozen=True, kw_only=True, omit_defaults=True):
    """One event; `data` is its payload, decoded from JSON.

    `subject` is the ordering key, `sequence` its number within the subject (a decimal string, given by the
    outbox), `time` and `expiration` are UTC. `extensions` are attributes the publisher's own envelope carried
    besides; they stand in the encoded envelope, and a decoded event leaves them there.
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
    extensions: dict[str, Any] | None = None


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
    if event.extensions is None:
        return _encoder.encode(event)
    known = msgspec.to_builtins(msgspec.structs.replace(event, extensions=None))
    return _encoder.encode({**event.extensions, **known})


def decode(data: bytes) -> Event[Any]:
    """The event in JSON bytes; raises `Undecodable`."""
    try:
        return _decoder.decode(data)
    except UNREADABLE as error:
        raise Undecodable(f"Not a CloudEvents envelope: {error}.") from error


def wrap(topic: str, body: Any, *, source: str, subject: str | None = None) -> Event[Any]:
    """An event of any JSON body: an envelope is filled in, a flat one is recognised, anything else is wrapped.

    Raises `Undecodable` for an envelope that cannot be one.
    """
    if isinstance(body, dict) and "specversion" in body:
        return _checked(_filled(topic, body, source=source, subject=subject))
    event = new_event(topic, body, source=source, subject=subject)
    if isinstance(body, dict) and {"event_id", "event_type", "source", "data"} <= body.keys():
        flat = _converted(body, _Flat)
        event = msgspec.structs.replace(
            event, id=flat.event_id, source=flat.source, time=flat.timestamp or event.time
        )
    return _checked(event)


def _filled(topic: str, body: dict[str, Any], *, source: str, subject: str | None) -> Event[Any]:
    missing = {"type": topic, "source": source, "subject": subject, "id": str(uuid.uuid4())}
    fixed = {"topic": topic, "pubsubname": PUBSUB}
    event: Event[Any] = _converted({**missing, **body, **fixed, "extensions": None}, Event[Any])
    beside = {name: value for name, value in body.items() if name not in Event.__struct_fields__}
    if not all(_EXTENSION.fullmatch(name) for name in beside):
        raise Undecodable(
            f"Not a CloudEvents envelope: {sorted(beside)} are no names of extension attributes.",
            remedy="Such names consist of lower-case letters and digits.",
        )
    return msgspec.structs.replace(event, extensions=beside or None)


def _converted(body: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise Undecodable(f"Not an event envelope: {error}.") from error


def _checked(event: Event[Any]) -> Event[Any]:
    """The event when its identifying attributes can be stored everywhere they must be."""
    for name in ("id", "source", "type", "subject"):
        text = getattr(event, name)
        if text is None:
            continue
        if not text or len(text) > LONGEST or not text.isprintable():
            raise Undecodable(
                f"The event's {name} is empty, longer than {LONGEST} characters, or has control characters."
            )
    return event


def numbered(envelope: bytes, sequence: int) -> bytes:
    """The encoded envelope with its `sequence` added, without decoding it."""
    return b'%b,"sequence":"%d"}' % (envelope[:-1], sequence)
