"""Who calls: the verified bearer token. Headers alone are never trusted."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from opsplane.action import Actor
from opsplane.errors import Denied, Unauthenticated

_CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Identity:
    """The verified caller: subject, roles, kind of client, the token itself, and the tenant it is a member of."""

    sub: str
    roles: frozenset[str]
    client_type: str
    token: str
    tenant: str | None = None

    @property
    def actor(self) -> Actor:
        """The caller as the actor of an operator's action."""
        return Actor(self.sub, self.roles)

    def holds(self, *roles: str) -> bool:
        """Whether the caller has any of `roles`, or is an admin."""
        return "admin" in self.roles or not self.roles.isdisjoint(roles)


Caller = NamedDependency[Identity]  # what a handler declares: `async def mine(identity: Caller) -> …`


class Verifier:
    """Verifies tokens of one issuer against its JWKS, remembering verified ones until they expire."""

    def __init__(self, jwks: Path, issuer: str, audience: str) -> None:
        self._jwks = jwks
        self._keys = KeySet.import_key_set(json.loads(jwks.read_text()))
        self._claims = jwt.JWTClaimsRegistry(
            leeway=5,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            exp={"essential": True},
        )
        self._seen: dict[str, tuple[float, Identity]] = {}

    def verify(self, token: str) -> Identity:
        """The identity in `token`; raises `Unauthenticated` for any token that does not hold."""
        known = self._seen.get(token)
        if known is not None and known[0] > time.time():
            return known[1]
        claims = self._decode(token)
        identity = Identity(
            str(claims["sub"]),
            _roles(claims),
            str(claims.get("client_type", "unknown")),
            token,
            _tenant(claims),
        )
        if len(self._seen) >= _CACHE_SIZE:
            self._seen.clear()
        self._seen[token] = (float(claims["exp"]), identity)
        return identity

    def _decode(self, token: str) -> dict[str, Any]:
        try:
            decoded = jwt.decode(token, self._keys, algorithms=["RS256", "ES256"])
            self._claims.validate(decoded.claims)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise Unauthenticated(
                f"The bearer token was refused: {type(error).__name__}.", remedy="Sign in again."
            ) from error
        return decoded.claims


def _roles(claims: dict[str, Any]) -> frozenset[str]:
    roles = claims.get("roles", [])
    return frozenset(str(role) for role in roles) if isinstance(roles, list) else frozenset()


def _tenant(claims: dict[str, Any]) -> str | None:
    tenant = claims.get("tenant")
    return tenant if isinstance(tenant, str) and tenant else None


async def provide_identity(request: Request[Any, Any, Any]) -> Identity:
    """The identity of a request, for handlers that take `identity`; 401 without a valid token."""
    return identity_of(request)


def identity_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Identity:
    """The verified identity of a connection; raises `Unauthenticated`."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("A bearer token is needed.", remedy="Send it as: Authorization: Bearer …")
    verifier: Verifier = connection.app.state.verifier
    return verifier.verify(token.strip())


def requires(*roles: str) -> Guard:
    """A guard that lets callers with one of `roles` (or admin) pass, and answers 401 or 403 to others."""

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        identity = identity_of(connection)
        if roles and not identity.holds(*roles):
            raise Denied(f"This needs one of the roles {', '.join(roles)}.")

    return guard
