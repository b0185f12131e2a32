"""Where a demo went: one hop after the other, each timed, the first that fails named."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from opsplane.cli.output import printable
from opsplane.errors import OpsplaneError


class HopFailed(OpsplaneError):
    """A hop of the demo did not do what it should."""


@dataclass
class Hop:
    """One step of the way: how long it took and what it showed."""

    name: str
    ms: float = 0.0
    ok: bool = False
    detail: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    def saw(self, **facts: Any) -> None:
        """Note what the hop showed."""
        self.detail.update(facts)

    def must(self, holds: bool, what: str) -> None:
        """Return when it holds; raises `HopFailed`."""
        if not holds:
            raise HopFailed(what)


class Trace:
    """The hops of one run; with `show`, each is printed as it ends."""

    def __init__(self, *, show: bool = False) -> None:
        self.hops: list[Hop] = []
        self._show = show
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self._started

    @property
    def well(self) -> bool:
        """Whether every hop did what it should."""
        return all(hop.ok for hop in self.hops)

    @asynccontextmanager
    async def hop(self, name: str) -> AsyncIterator[Hop]:
        """A hop, timed; whatever goes wrong in it is noted as its error and raised as `HopFailed`."""
        hop, started = Hop(name), time.perf_counter()
        self.hops.append(hop)
        try:
            yield hop
            hop.ok = True
        except Exception as error:
            hop.error = f"{type(error).__name__}: {error}"
            raise HopFailed(f"{name}: {error}") from error
        finally:
            hop.ms = round((time.perf_counter() - started) * 1000, 1)
            if self._show:
                self._print(hop)

    def report(self) -> dict[str, Any]:
        """Everything, for tools."""
        failed = next((hop.name for hop in self.hops if not hop.ok), None)
        return {
            "ok": self.well,
            "failed": failed,
            "seconds": round(self.seconds, 3),
            "hops": [vars(hop) for hop in self.hops],
        }

    @staticmethod
    def _print(hop: Hop) -> None:
        facts = "  ".join(f"{name}={printable(value)}" for name, value in hop.detail.items())
        print(f"{'✓' if hop.ok else '✗'} {hop.name:<24} {hop.ms:>9.1f} ms  {hop.error or facts}", flush=True)
