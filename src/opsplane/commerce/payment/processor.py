"""The seam to whoever moves the money."""

from __future__ import annotations

from typing import Protocol

from opsplane.commerce.money import Money
from opsplane.errors import OpsplaneError, Unavailable


class Declined(OpsplaneError):
    """The processor will not charge this; trying again changes nothing."""

    status = 402


class ProcessorUnavailable(Unavailable):
    """The processor gave no answer; whether it charged is unknown, and asking again with the same key is safe."""


class Processor(Protocol):
    """Charges and refunds, each once per key however often it is asked."""

    async def charge(self, key: str, money: Money) -> str:
        """The processor's reference of the charge; raises `Declined` or `ProcessorUnavailable`."""
        ...

    async def refund(self, reference: str, money: Money) -> str:
        """The processor's reference of the refund; raises `ProcessorUnavailable`."""
        ...
