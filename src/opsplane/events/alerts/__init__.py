"""Alerts: somebody is told when a topic has too many dead letters, and when it is well again."""

from __future__ import annotations

from opsplane.events.alerts.alerting import Alerting, alerts

__all__ = ["Alerting", "alerts"]
