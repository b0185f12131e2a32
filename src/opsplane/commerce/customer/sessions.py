"""Sessions: a short access token, and a refresh token that serves once.

Refresh tokens are rotated and kept only as hashes. One that is used a second time was copied: the whole session it
belongs to ends, as RFC 9700 (section 4.14.2) advises.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID, uuid4

from opsplane.commerce.customer import repository
from opsplane.commerce.customer.model import Customer, Session
from opsplane.database import Connection
from opsplane.errors import Unauthenticated
from opsplane.service import Runtime
from opsplane.telemetry import get_logger

log = get_logger("customer")
ACCESS_SECONDS = 3600
REFRESH_LIFETIME = timedelta(days=30)


class SessionEnded(Unauthenticated):
    """The refresh token is unknown, expired, used or revoked."""


class Sessions:
    """Opens, continues and ends sessions."""

    def __init__(self, runtime: Runtime) -> None:
        assert runtime.issuer is not None, "the customer service signs tokens"
        self._pool = runtime.pool
        self._issuer = runtime.issuer
        self._clock = runtime.clock

    async def open(self, customer: Customer, client_type: str) -> Session:
        """A new session of the customer."""
        async with self._pool.transaction() as tx:
            await repository.forget_tokens(tx, self._clock.now())
            return await self._hand_out(tx, customer, uuid4(), client_type)

    async def refresh(self, token: str) -> Session:
        """The session, continued with new tokens; raises `SessionEnded`, and ends it when the token was used before."""
        digest = _digest(token)
        async with self._pool.transaction() as tx:
            known = await repository.lock_token(tx, digest)
            if known is not None and known["used_at"] is None and known["expires_at"] > self._clock.now():
                await repository.use_token(tx, digest, self._clock.now())
                customer = await repository.get_customer(tx, known["customer_id"])
                return await self._hand_out(tx, customer, known["family"], known["client_type"])
            if known is not None and known["used_at"] is not None:
                log.warning("customer.token_reused", customer=str(known["customer_id"]))
                await repository.revoke_family(tx, known["family"])
        raise SessionEnded("The refresh token does not hold any more.", remedy="Sign in again.")

    async def end(self, token: str) -> None:
        """End the session of a refresh token; no error when it has ended before."""
        async with self._pool.transaction() as tx:
            known = await repository.lock_token(tx, _digest(token))
            if known is not None:
                await repository.revoke_family(tx, known["family"])

    async def _hand_out(self, tx: Connection, customer: Customer, family: UUID, client_type: str) -> Session:
        refresh_token = secrets.token_urlsafe(32)
        expires_at = self._clock.now() + REFRESH_LIFETIME
        await repository.insert_token(
            tx,
            _digest(refresh_token),
            family=family,
            customer=customer.id,
            client_type=client_type,
            expires_at=expires_at,
        )
        access = self._issuer.issue(
            str(customer.id), customer.roles, client_type=client_type, lifetime=ACCESS_SECONDS
        )
        return Session(access, refresh_token, ACCESS_SECONDS, customer)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
