"""The duty of a consumer group, ordered or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opsplane.events.broker import Broker
from opsplane.events.consumer import Consumer
from opsplane.events.context import Service
from opsplane.events.group import ConsumerGroup
from opsplane.events.ordered import OrderedGroup
from opsplane.events.schemas import Schemas


def consumer_group(
    consumers: Sequence[Consumer], service: Service, broker: Broker, schemas: Schemas, **options: Any
) -> ConsumerGroup | OrderedGroup:
    """What runs all consumers of one group in this process, as they are declared."""
    kind = OrderedGroup if any(consumer.ordered for consumer in consumers) else ConsumerGroup
    return kind(consumers, service, broker, schemas, **options)
