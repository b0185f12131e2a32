"""What operators do to breakers."""

from __future__ import annotations

import time

import msgspec

from opsplane.action import Action, Preview
from opsplane.database import sql
from opsplane.errors import InvalidInput, NotFound
from opsplane.events.backbone import ROLE, ROOM, Backbone
from opsplane.events.breakers.holds import project
from opsplane.events.breakers.overview import BreakerState, conditions, list_breakers
from opsplane.events.brokers.keys import BREAKERS
from opsplane.resilience import Condition


class BreakerNames(msgspec.Struct, frozen=True, kw_only=True):
    """Breakers (`group:dependency`), and why they are opened, closed or reset."""

    names: tuple[str, ...]
    because: str


async def _preview(backbone: Backbone, wanted: BreakerNames) -> Preview:
    found = await _named(backbone, wanted)
    rows = [{"name": one.name, "state": one.state, "heldBy": one.held_by} for one in found]
    return Preview(f"Would change {len(found)} breakers.", len(found), rows)


async def _open(backbone: Backbone, wanted: BreakerNames) -> list[BreakerState]:
    """Hold them open until somebody closes them."""
    await _named(backbone, wanted)
    facts = [list(wanted.names), backbone.actor, wanted.because]
    await backbone.pool.execute(sql(ROOM, "insert_breaker_hold"), facts)
    await project(backbone.pool, backbone.broker)
    return await _named(backbone, wanted)


async def _close(backbone: Backbone, wanted: BreakerNames) -> list[BreakerState]:
    """Let everything through again; one that opens again waits as long as it would have."""
    return await _let_go(backbone, wanted, forget=False)


async def _reset(backbone: Backbone, wanted: BreakerNames) -> list[BreakerState]:
    """Begin anew, as if it had never been open."""
    return await _let_go(backbone, wanted, forget=True)


async def _let_go(backbone: Backbone, wanted: BreakerNames, *, forget: bool) -> list[BreakerState]:
    await _named(backbone, wanted)
    known, now = await conditions(backbone.broker), time.time()
    for name in wanted.names:
        openings = 0 if forget or name not in known else known[name].openings
        closed = Condition(since=now, openings=openings)
        await backbone.broker.call("HSET", BREAKERS, name, msgspec.json.encode(closed))
    await backbone.pool.execute(sql(ROOM, "delete_breaker_hold"), [list(wanted.names)])
    await project(backbone.pool, backbone.broker)
    return await _named(backbone, wanted)


async def _named(backbone: Backbone, wanted: BreakerNames) -> list[BreakerState]:
    if not wanted.because.strip():
        raise InvalidInput("This needs a reason.", remedy='Give one: --reason "…"')
    known = {one.name: one for one in await list_breakers(backbone.broker, backbone.pool)}
    missing = [name for name in wanted.names if name not in known]
    if missing or not wanted.names:
        raise NotFound(
            f"There is no breaker {', '.join(missing)}." if missing else "No breaker is named.",
            remedy="See: opsplane breaker ls",
        )
    return [known[name] for name in wanted.names]


OPEN = Action("breaker.open", ROLE, "Hold breakers open.", BreakerNames, _preview, _open, dangerous=True)
CLOSE = Action("breaker.close", ROLE, "Close breakers.", BreakerNames, _preview, _close)
RESET = Action("breaker.reset", ROLE, "Reset breakers.", BreakerNames, _preview, _reset)
