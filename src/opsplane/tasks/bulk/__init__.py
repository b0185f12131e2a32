"""Bulk task types: each entity of a service gets `<entity>.import` and `<entity>.export`."""

from __future__ import annotations

from opsplane.tasks.bulk.correcting import NothingToCorrect, corrected_params
from opsplane.tasks.bulk.exporting import export_type
from opsplane.tasks.bulk.importing import import_type

__all__ = ["NothingToCorrect", "corrected_params", "export_type", "import_type"]
