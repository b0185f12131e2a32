"""A request repeated with its Idempotency-Key gets the first answer again, and nothing happens twice."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

import msgspec

from opsplane.commerce.order.model import NewOrder, Order
from opsplane.commerce.statements import Statements
from opsplane.database import Connection
from opsplane.errors import InvalidInput

_statements = Statements(__package__)
_decoder = msgspec.json.Decoder(Order)


class KeyReused(InvalidInput):
    """The Idempotency-Key came before with another body; nothing was done."""

    status = 422


async def answer_once(
    tx: Connection, customer: str, key: str, new: NewOrder, place: Callable[[], Awaitable[Order]]
) -> tuple[Order, bool]:
    """The answer to this request and whether it was answered before; raises `KeyReused`.

    A request that comes while the first is still under way waits for it; when the first fails, it takes its turn.
    Answers are kept for a day.
    """
    digest = hashlib.sha256(msgspec.json.encode(new, order="deterministic")).digest()
    await _statements.run(tx, "forget_answers")
    claimed = await _statements.one(tx, "claim_key", customer_id=customer, key=key, request_hash=digest)
    if claimed is None:
        known = await _statements.one(tx, "get_answer", customer_id=customer, key=key)
        assert known is not None
        if bytes(known["request_hash"]) != digest:
            raise KeyReused(
                "This Idempotency-Key came before with another body.", remedy="Use a new key for a new order."
            )
        return _decoder.decode(known["answer"]), True
    order = await place()
    await _statements.run(
        tx, "store_answer", customer_id=customer, key=key, answer=msgspec.json.encode(order)
    )
    return order, False
