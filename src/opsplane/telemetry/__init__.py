"""Logs, metrics and health: what a process says about itself."""

from __future__ import annotations

from opsplane.telemetry.health import Health
from opsplane.telemetry.logs import configure_logging, get_logger
from opsplane.telemetry.metrics import counter, declared_metrics, gauge, histogram, render_metrics

__all__ = [
    "Health",
    "configure_logging",
    "counter",
    "declared_metrics",
    "gauge",
    "get_logger",
    "histogram",
    "render_metrics",
]
