"""Documents people write (gateway.yaml, events.yaml): read into frozen values, every error told at once with its place."""

from __future__ import annotations

from opsplane.documents.reader import Path, Reader
from opsplane.documents.rejection import DocumentRejected, Violation, nearest
from opsplane.documents.values import Duration, Rate

__all__ = ["DocumentRejected", "Duration", "Path", "Rate", "Reader", "Violation", "nearest"]
