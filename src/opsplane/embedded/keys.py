from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from joserfc.jwk import KeySet, RSAKey

from opsplane.embedded.account import own_file

CALLBACKS = "callbacks.txt"


def ensure_keys(directory: Path) -> None:
    """Make the issuer's RSA key (`issuer.pem`), the public set that verifies it (`jwks.json`) and the secret that
    signs callbacks (`callbacks.txt`) where missing.

    The set is written anew from the private key each time it is missing, so the two cannot part.
    """
    if not (directory / CALLBACKS).is_file():
        write_callback_secrets(directory / CALLBACKS, [new_callback_secret()])
    private, public = directory / "issuer.pem", directory / "jwks.json"
    if not private.is_file():
        key = RSAKey.generate_key(2048, private=True)
        own_file(private, key.as_pem(private=True).decode(), None)
        public.unlink(missing_ok=True)
    if not public.is_file():
        own_file(public, _public_set(private), None, 0o644)


def new_callback_secret() -> str:
    """A secret as Standard Webhooks writes it: `whsec_` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def write_callback_secrets(path: Path, found: Sequence[str]) -> None:
    """Have these secrets sign callbacks from now on, the newest first."""
    own_file(path, "".join(f"{secret}\n" for secret in found), None)


def _public_set(private: Path) -> str:
    key = RSAKey.import_key(private.read_bytes(), {"use": "sig", "alg": "RS256"})
    key.ensure_kid()
    return json.dumps(KeySet([key]).as_dict(private=False), indent=2) + "\n"
