"""The platform at work: one order with every hop it takes, and customers by the thousand."""

from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter

from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session

app = cyclopts.App(name="demo", help="Show the platform at work.")

DEFAULTS = Common()
Seed = Annotated[int, Parameter(help="Seed of the demo data, used when the catalog is empty.")]


@app.command
async def run(*, seed: Seed = 1, common: Common = DEFAULTS) -> int:
    """One order end to end, each hop with its milliseconds; exit code 1 names the hop that failed.

    Fills an empty catalog with 10,000 products and 2,000 customers first.
    """
    from opsplane.cli.demo.run import run_demo
    from opsplane.cli.demo.trace import Trace

    trace = Trace(show=common.output == "table")
    async with session(common) as opened:
        well = await run_demo(opened, trace, seed)
    if common.output != "table":
        emit(trace.report(), common.output)
    else:
        note(f"{'Done' if well else 'Failed'} in {trace.seconds:.1f} s.")
    return 0 if well else 1


@app.command
async def load(
    *,
    orders: Annotated[int, Parameter(help="How many orders to place.")] = 1000,
    rate: Annotated[
        float, Parameter(help="Orders a second, whether or not earlier ones were answered.")
    ] = 50.0,
    customers: Annotated[int, Parameter(help="How many customers place them.")] = 20,
    seed: Seed = 1,
    common: Common = DEFAULTS,
) -> int:
    """Buy like customers do and report latencies, outcomes and errors; exit code 1 unless every order got final."""
    from opsplane.cli.demo.load import LoadPlan, run_load

    plan = LoadPlan(orders=orders, rate=rate, customers=customers, seed=seed)
    async with session(common) as opened:
        report = await run_load(opened, plan)
    emit(report.rows() if common.output == "table" else report, common.output)
    return 0 if report.well else 1
