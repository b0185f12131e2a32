"""Limits on how many tasks run at once or start in a time, and turns between tenants, kept by one dispatcher."""

from __future__ import annotations

from opsplane.tasks.limits.book import LimitBook
from opsplane.tasks.limits.dispatcher import Dispatcher
from opsplane.tasks.limits.limit import EACH, Limit, LimitState, NewLimit

__all__ = ["EACH", "Dispatcher", "Limit", "LimitBook", "LimitState", "NewLimit"]
