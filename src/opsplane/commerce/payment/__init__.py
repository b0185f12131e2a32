"""The payment service: has orders paid by a processor, and money given back."""

from __future__ import annotations

from opsplane.commerce.payment.service import service

__all__ = ["service"]
