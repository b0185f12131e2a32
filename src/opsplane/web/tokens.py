"""Access tokens the platform issues itself: RS256 JWTs (RFC 7519, RFC 9068 claims)."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import RSAKey


class TokenIssuer:
    """Signs access tokens with the installation's private key."""

    def __init__(self, private_key: Path, jwks: Path, issuer: str, audience: str) -> None:
        self._kid = json.loads(jwks.read_text())["keys"][0]["kid"]
        self._key = RSAKey.import_key(private_key.read_text())
        self._issuer = issuer
        self._audience = audience

    def issue(
        self,
        sub: str,
        roles: Iterable[str],
        *,
        client_type: str = "web",
        lifetime: int = 3600,
        act: str | None = None,
        tenant: str | None = None,
    ) -> str:
        """A bearer token for `sub` that expires after `lifetime` seconds.

        Roles are carried twice: as the list `roles`, and as the string `role_names` (`,admin,customer,`),
        which the gateway can match without decoding a list. `act` names who acts for `sub`, `tenant` whose
        member it is.
        """
        now = int(time.time())
        held = sorted(set(roles))
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": sub,
            "roles": held,
            "role_names": f",{','.join(held)},",
            "client_type": client_type,
            "jti": uuid.uuid4().hex,
            "iat": now,
            "nbf": now - 1,
            "exp": now + lifetime,
        }
        if tenant is not None:
            claims["tenant"] = tenant
        if act is not None:
            claims["act"] = {"sub": act}
        return jwt.encode({"alg": "RS256", "typ": "JWT", "kid": self._kid}, claims, self._key)
