"""The catalog service: products, prices and stock; everybody's source of them is its events."""

from __future__ import annotations

from opsplane.commerce.catalog.service import service

__all__ = ["service"]
