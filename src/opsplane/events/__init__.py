"""The event backbone: outbox, relay, broker, consumers, retries and dead letters."""

from __future__ import annotations

from opsplane.events.broker import Broker, BrokerUnavailable, Entry
from opsplane.events.brokers import connect
from opsplane.events.consumer import Consumer, Reject, consumer
from opsplane.events.context import AlreadyDone, BatchContext, Context, Service
from opsplane.events.dependencies import DATABASE
from opsplane.events.envelope import Event, decode, encode, new_event, wrap
from opsplane.events.group import ConsumerGroup
from opsplane.events.groups import consumer_group
from opsplane.events.ordered import OrderedGroup
from opsplane.events.outbox import Outbox
from opsplane.events.relay import Relay
from opsplane.events.retries import RetryMover
from opsplane.events.schemas import Schemas, Violation

__all__ = [
    "DATABASE",
    "AlreadyDone",
    "BatchContext",
    "Broker",
    "BrokerUnavailable",
    "Consumer",
    "ConsumerGroup",
    "Context",
    "Entry",
    "Event",
    "OrderedGroup",
    "Outbox",
    "Reject",
    "Relay",
    "RetryMover",
    "Schemas",
    "Service",
    "Violation",
    "connect",
    "consumer",
    "consumer_group",
    "decode",
    "encode",
    "new_event",
    "wrap",
]
