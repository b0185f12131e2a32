"""Prometheus metrics of this process, on one registry, each declared once by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

REGISTRY = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

M = TypeVar("M", Counter, Gauge, Histogram)

_declared: dict[str, Counter | Gauge | Histogram] = {}


def counter(name: str, doc: str, labels: Sequence[str] = ()) -> Counter:
    """The counter of this name; declaring it again gives the same one."""
    return _once(name, lambda: Counter(name, doc, labels, registry=REGISTRY), Counter)


def gauge(name: str, doc: str, labels: Sequence[str] = ()) -> Gauge:
    """The gauge of this name; declaring it again gives the same one."""
    return _once(name, lambda: Gauge(name, doc, labels, registry=REGISTRY), Gauge)


def histogram(
    name: str, doc: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS
) -> Histogram:
    """The histogram of this name, in seconds unless `buckets` say otherwise."""
    return _once(name, lambda: Histogram(name, doc, labels, buckets=buckets, registry=REGISTRY), Histogram)


def render_metrics() -> bytes:
    """Every metric in Prometheus' text format."""
    return generate_latest(REGISTRY)


def declared_metrics() -> dict[str, str]:
    """Name and meaning of every metric declared so far."""
    return {name: metric._documentation for name, metric in sorted(_declared.items())}  # noqa: SLF001  the library has no reader


def _once(name: str, declare: Callable[[], M], kind: type[M]) -> M:
    found = _declared.get(name)
    if found is None:
        found = _declared[name] = declare()
    if not isinstance(found, kind):
        raise TypeError(f"metric {name} is declared as a {type(found).__name__} elsewhere")
    return found
