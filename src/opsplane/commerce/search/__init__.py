"""The search service: full text and facets over its own index, kept by events."""

from __future__ import annotations

from opsplane.commerce.search.service import service

__all__ = ["service"]
