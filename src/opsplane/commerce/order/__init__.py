"""The order service: orders, what they cost, and the saga they go through."""

from __future__ import annotations

from opsplane.commerce.order.service import service

__all__ = ["service"]
