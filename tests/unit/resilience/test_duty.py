from __future__ import annotations

import asyncio

from opsplane.resilience import Stop, run_duties


class Flaky:
    name = "flaky"

    def __init__(self) -> None:
        self.runs = 0
        self.ended = False

    async def run(self, stop: Stop) -> None:
        self.runs += 1
        if self.runs == 1:
            raise RuntimeError("planted")
        await stop.wait()
        self.ended = True


class Deaf:
    name = "deaf"
    cancelled = False

    async def run(self, stop: Stop) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def test_failed_duty_is_started_again_and_ends_gracefully() -> None:
    stop, flaky = Stop(), Flaky()
    running = asyncio.create_task(run_duties([flaky], stop))
    async with asyncio.timeout(10):
        while flaky.runs < 2:
            await asyncio.sleep(0.01)
        stop.set()
        await running
    assert flaky.ended


async def test_duty_that_does_not_stop_is_cancelled_after_the_grace() -> None:
    stop, deaf = Stop(), Deaf()
    running = asyncio.create_task(run_duties([deaf], stop, grace=0.05))
    await asyncio.sleep(0.02)
    stop.set()
    async with asyncio.timeout(10):
        await running
    assert deaf.cancelled


async def test_a_duty_that_ends_unasked_is_started_again() -> None:
    class Losing:
        name = "losing"
        starts = 0

        async def run(self, stop: Stop) -> None:
            self.starts += 1
            if self.starts == 3:
                stop.set()

    duty = Losing()
    async with asyncio.timeout(20):
        await run_duties([duty], Stop())
    assert duty.starts == 3
