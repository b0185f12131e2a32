"""The customer service: who buys, and how they sign in."""

from __future__ import annotations

from opsplane.commerce.customer.service import service

__all__ = ["service"]
