from __future__ import annotations

import json
from pathlib import Path

from joserfc.jwk import KeySet, RSAKey

from opsplane.embedded.account import own_file


def ensure_keys(directory: Path) -> None:
    """Make the issuer's RSA key (`issuer.pem`) and the public set that verifies it (`jwks.json`) where missing.

    The set is written anew from the private key each time it is missing, so the two cannot part.
    """
    private, public = directory / "issuer.pem", directory / "jwks.json"
    if not private.is_file():
        key = RSAKey.generate_key(2048, private=True)
        own_file(private, key.as_pem(private=True).decode(), None)
        public.unlink(missing_ok=True)
    if not public.is_file():
        own_file(public, _public_set(private), None, 0o644)


def _public_set(private: Path) -> str:
    key = RSAKey.import_key(private.read_bytes(), {"use": "sig", "alg": "RS256"})
    key.ensure_kid()
    return json.dumps(KeySet([key]).as_dict(private=False), indent=2) + "\n"
