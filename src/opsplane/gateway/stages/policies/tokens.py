"""Bearer tokens: whose, signed how, for whom; and the headers their claims become."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from opsplane.errors import InvalidInput
from opsplane.gateway.document import Issuer
from opsplane.gateway.resolution import Resolved
from opsplane.gateway.stages.policies.identity import CLIENT, ROLES, USER
from opsplane.gateway.stages.typed import typed

TOKENS = "opsplane.tokens"
MAX_TOKEN = 8192
CLOCK_SKEW = 5
_MEMBERS = {"RSA": ("kty", "kid", "n", "e"), "EC": ("kty", "kid", "crv", "x", "y")}
_KIND = "extensions.filters.http.jwt_authn.v3"


class UnusableKeys(InvalidInput):
    """An issuer's key set holds no key its tokens could be verified with."""


def requirement(issuers: tuple[str, ...]) -> str:
    """The name of the requirement that a token of one of `issuers` is there."""
    return "+".join(issuers)


def tokens_filter(
    issuers: Mapping[str, Issuer], routes: Iterable[Resolved], jwks: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The filter that verifies tokens, as a resource of its own so that new keys drain no connection."""
    wanted = {route.issuers for route in routes if route.issuers}
    used = {name for names in wanted for name in names}
    settings = typed(
        f"{_KIND}.JwtAuthentication",
        providers={name: _provider(name, issuer, jwks) for name, issuer in issuers.items() if name in used},
        requirement_map={requirement(names): _required(names) for names in sorted(wanted)},
    )
    return {**typed("config.core.v3.TypedExtensionConfig"), "name": TOKENS, "typed_config": settings}


def tokens_of(issuers: tuple[str, ...]) -> dict[str, Any]:
    """What a route says to have a token of one of `issuers` required."""
    return typed(f"{_KIND}.PerRouteConfig", requirement_name=requirement(issuers))


def _required(names: tuple[str, ...]) -> dict[str, Any]:
    one = [{"provider_name": name} for name in names]
    return one[0] if len(one) == 1 else {"requires_any": {"requirements": one}}


def _provider(name: str, issuer: Issuer, jwks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "issuer": issuer.issuer,
        "audiences": list(issuer.audiences),
        "require_expiration": True,
        "clock_skew_seconds": CLOCK_SKEW,
        "local_jwks": {
            "inline_string": json.dumps(_pinned(name, issuer, jwks.get(name, {})), sort_keys=True)
        },
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        "forward": True,
        "claim_to_headers": [
            {"header_name": USER, "claim_name": issuer.user_claim},
            {"header_name": ROLES, "claim_name": issuer.roles_claim},
            {"header_name": CLIENT, "claim_name": issuer.client_claim},
        ],
        "jwt_cache_config": {"jwt_cache_size": issuer.cached_tokens, "jwt_max_token_size": MAX_TOKEN},
    }


def _pinned(name: str, issuer: Issuer, jwks: Mapping[str, Any]) -> dict[str, Any]:
    """The public keys that may be used, each with its one algorithm: a key without `alg` would take several."""
    keys = [pinned for key in jwks.get("keys", []) if (pinned := _pin(issuer, key)) is not None]
    if not keys:
        raise UnusableKeys(
            f"Issuer `{name}` has no public key for {' or '.join(issuer.algorithms)}.",
            remedy="Check its `jwks` in gateway.yaml, or the installation's keys/jwks.json.",
            issuer=name,
        )
    return {"keys": keys}


def _pin(issuer: Issuer, key: Mapping[str, Any]) -> dict[str, Any] | None:
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(str(key.get("kty")))
    if algorithm not in issuer.algorithms or key.get("alg", algorithm) != algorithm:
        return None
    if key.get("use", "sig") != "sig" or (algorithm == "ES256" and key.get("crv") != "P-256"):
        return None
    members = {member: key[member] for member in _MEMBERS[key["kty"]] if member in key}
    return {**members, "alg": algorithm, "use": "sig"}
