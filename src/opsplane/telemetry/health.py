"""Health: named checks that say whether this process can do its work now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

Check = Callable[[], Awaitable[None]]


class Health:
    """The checks of one role; each returns when well and raises when not."""

    def __init__(self, deadline: float = 2.0) -> None:
        self._checks: dict[str, Check] = {}
        self._deadline = deadline

    def add(self, name: str, check: Check) -> None:
        """Have `check` asked whenever readiness is."""
        self._checks[name] = check

    async def report(self) -> dict[str, str]:
        """For each check `ok` or the reason why not, asked side by side within the deadline."""
        names = list(self._checks)
        verdicts = await asyncio.gather(*(self._ask(self._checks[name]) for name in names))
        return dict(zip(names, verdicts, strict=True))

    async def _ask(self, check: Check) -> str:
        try:
            async with asyncio.timeout(self._deadline):
                await check()
        except TimeoutError:
            return f"no answer within {self._deadline:g} s"
        except Exception as error:  # noqa: BLE001  whatever keeps a part from working is what is reported
            return f"{type(error).__name__}: {error}"
        return "ok"
