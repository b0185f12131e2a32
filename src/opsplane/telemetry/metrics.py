"""Prometheus metrics of this process, on one registry, each declared once by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

M = TypeVar("M", Counter, Gauge, Histogram)

_declared: dict[str, Counter | Gauge | Histogram] = {}


class Declared(NamedTuple):
    """What a metric is: counter, gauge or histogram, its labels, its meaning."""

    kind: str
    labels: tuple[str, ...]
    meaning: str


class _Nameless(Collector):
    """Samples a metric without claiming its name."""

    def __init__(self, metric: Collector) -> None:
        self._metric = metric

    def describe(self) -> Iterable[Metric]:
        """No names."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The metric's samples."""
        return self._metric.collect()


def counter(name: str, doc: str, labels: Sequence[str] = (), *, beside_gauge: bool = False) -> Counter:
    """The counter of this name; declaring it again gives the same one.

    The registry lets a counter `x_total` claim the name `x` as well; `beside_gauge` leaves that to a gauge.
    """

    def declare() -> Counter:
        if not beside_gauge:
            return Counter(name, doc, labels, registry=REGISTRY)
        found = Counter(name, doc, labels, registry=None)
        REGISTRY.register(_Nameless(found))
        return found

    return _once(name, declare, Counter)


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


def declared_metrics() -> dict[str, Declared]:
    """Every metric declared so far, by name."""
    return {
        name: Declared(metric._type, tuple(metric._labelnames), metric._documentation)  # noqa: SLF001  the library has no reader
        for name, metric in sorted(_declared.items())
    }


def _once(name: str, declare: Callable[[], M], kind: type[M]) -> M:
    found = _declared.get(name)
    if found is None:
        found = _declared[name] = declare()
    if not isinstance(found, kind):
        raise TypeError(f"metric {name} is declared as a {type(found).__name__} elsewhere")
    return found
