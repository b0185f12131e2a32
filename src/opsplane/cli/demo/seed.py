"""Filling an empty platform with demo data, by the imports any user has."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from opsplane.cli.demo.calls import call, create_import, follow, until
from opsplane.cli.demo.data import customers_file, products_file
from opsplane.cli.demo.trace import Hop


async def seed_when_empty(staff: httpx.AsyncClient, seed: int, hop: Hop) -> None:
    """Return when there are products to buy and search has them; imports the demo data into an empty catalog."""
    there = await call(staff, "GET", "/api/v1/products?pageSize=1")
    if there["total"]:
        hop.saw(products=there["total"], imported=False)
        return
    files = {"product": products_file(seed), "customer": customers_file(seed)}
    results = await asyncio.gather(*(_imported(staff, entity, file) for entity, file in files.items()))
    applied = {entity: result["appliedRows"] for entity, result in zip(files, results, strict=True)}
    total = (await call(staff, "GET", "/api/v1/products?pageSize=1"))["total"]

    async def indexed() -> bool:
        return bool((await call(staff, "GET", "/api/v1/search?pageSize=1"))["total"] >= total)

    await until(indexed, "search did not have every product", patience=60.0)
    hop.saw(products=applied["product"], customers=applied["customer"], imported=True)


async def _imported(staff: httpx.AsyncClient, entity: str, file: bytes) -> dict[str, Any]:
    task = await create_import(staff, entity, f"demo-{entity}s.csv", file)
    finished, _ = await follow(staff, task["id"])
    result: dict[str, Any] = finished["result"]
    return result
