"""The compatibility modes, as schema registries name them."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """What a new version must understand.

    BACKWARD: readers with the new version read events of the old one. FORWARD: readers with the old version read
    events of the new one. FULL: both. The TRANSITIVE forms ask this of every earlier version, the others of the
    latest alone.
    """

    NONE = "NONE"
    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"

    @property
    def backward(self) -> bool:
        """Whether old events must stay readable."""
        return self.startswith(("BACKWARD", "FULL"))

    @property
    def forward(self) -> bool:
        """Whether old readers must understand new events."""
        return self.startswith(("FORWARD", "FULL"))

    @property
    def transitive(self) -> bool:
        """Whether every earlier version counts."""
        return self.endswith("TRANSITIVE")
