"""Bulk actions: cancel or retry every task that matches a filter, as a task of its own that goes on where it stopped."""

from __future__ import annotations

from opsplane.tasks.bulk_actions.book import BulkBook
from opsplane.tasks.bulk_actions.runner import BulkRunner
from opsplane.tasks.bulk_actions.wanted import BulkAction, BulkParams

__all__ = ["BulkAction", "BulkBook", "BulkParams", "BulkRunner"]
