"""An AsyncAPI 3.0 document of all topics: https://www.asyncapi.com/docs/reference/specification/v3.0.0."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Any

from opsplane.events.schemas.document import DRAFT_07, DRAFT_2020_12, Schema
from opsplane.events.topology import Subscription, Topology

VERSION = "3.0.0"
CONTENT_TYPE = "application/cloudevents+json"
_FORMATS = {
    DRAFT_07: "application/schema+json;version=draft-07",
    DRAFT_2020_12: "application/schema+json;version=draft-2020-12",
}
_TEXT = {"type": "string", "minLength": 1}
_ENVELOPE: dict[str, Any] = {
    "type": "object",
    "required": ["id", "source", "type", "specversion"],
    "properties": {
        "id": _TEXT,
        "source": _TEXT,
        "type": _TEXT,
        "specversion": {"const": "1.0"},
        "subject": {
            "type": "string",
            "description": "What the event is about: events of one subject keep order.",
        },
        "sequence": {"type": "string", "description": "Its number within the subject."},
        "time": {"type": "string", "format": "date-time"},
        "expiration": {"type": "string", "format": "date-time"},
        "datacontenttype": {"type": "string"},
        "dataschema": {
            "type": "string",
            "description": "Which version of its schema it was published under.",
        },
        "topic": {"type": "string"},
        "pubsubname": {"type": "string"},
        "traceparent": {"type": "string"},
        "tracestate": {"type": "string"},
    },
}


def document(schemas: Iterable[Schema], topology: Topology) -> dict[str, Any]:
    """The document: a channel for each topic, a message for each usable version, an operation for each publisher
    (`send`) and each subscription of a consumer group (`receive`).
    """
    messages: dict[str, list[Schema]] = defaultdict(list)
    for one in schemas:
        messages[one.type].append(one)
    consumed = {topic for one in topology.subscriptions for topic in one.topics}
    topics = sorted(messages.keys() | consumed)
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "opsplane",
            "version": metadata.version("opsplane"),
            "description": "The events of the platform. Each topic is a stream; its entries hold CloudEvents 1.0 JSON.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic: _channel(topic, messages.get(topic, ())) for topic in topics},
        "operations": _operations(topics, topology),
        "components": {
            "messages": {_key(one): _message(one) for topic in topics for one in messages.get(topic, ())}
        },
    }


def _channel(topic: str, schemas: Sequence[Schema]) -> dict[str, Any]:
    found: dict[str, Any] = {"address": topic, "title": topic}
    newest = max(schemas, key=lambda one: (one.state == "active", one.version), default=None)
    if newest is not None and "description" in newest.document:
        found["description"] = str(newest.document["description"])
    found["messages"] = {_key(one): {"$ref": f"#/components/messages/{_key(one)}"} for one in schemas}
    return found


def _operations(topics: Sequence[str], topology: Topology) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for topic in topics:
        channel = {"$ref": f"#/channels/{topic}"}
        if topic in topology.publishers:
            service = topology.publishers[topic]
            found[f"{service}.send.{topic}"] = {
                "action": "send", "channel": channel, "summary": f"{service} publishes {topic}.",
                "tags": [{"name": service}],
            }  # fmt: skip
        for one in topology.subscriptions:
            if topic in one.topics:
                found[f"{one.group}.receive.{topic}"] = _receive(one, channel)
    return found


def _receive(one: Subscription, channel: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "action": "receive",
        "channel": channel,
        "title": one.handler,
        "summary": one.description.partition("\n")[0] or f"{one.group} handles it.",
        "tags": [{"name": one.service}, {"name": one.group}],
        "x-consumer-group": one.group,
    }
    if one.dead_letters:
        found["x-dead-letters"] = f"dlq:{one.dead_letters}"
    return found


def _message(one: Schema) -> dict[str, Any]:
    draft = str(one.document.get("$schema", DRAFT_2020_12)).removesuffix("#")
    found: dict[str, Any] = {
        "name": one.type,
        "title": f"{one.type}, version {one.version}",
        "contentType": CONTENT_TYPE,
        "payload": {"schemaFormat": _FORMATS[draft], "schema": _payload(one)},
        "x-schema": one.name,
        "x-state": one.state,
    }
    if "description" in one.document:
        found["summary"] = str(one.document["description"])
    return found


def _payload(one: Schema) -> dict[str, Any]:
    """The envelope with the schema in it; named, so that its references stay within it."""
    inner = {"$id": one.name, **one.document}
    if one.scope == "event":
        return inner
    properties = {**_ENVELOPE["properties"], "data": inner}
    return {"$schema": one.document.get("$schema", DRAFT_2020_12), **_ENVELOPE, "properties": properties}


def _key(one: Schema) -> str:
    return f"{one.type}.v{one.version}"
