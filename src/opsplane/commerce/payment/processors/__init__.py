"""The processors there are."""

from __future__ import annotations

from opsplane.commerce.payment.processors.simulated import SimulatedProcessor

__all__ = ["SimulatedProcessor"]
