"""Signing as Standard Webhooks says, so that receivers can use any of its libraries.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, symmetric scheme `v1`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from pathlib import Path

from opsplane.errors import OpsplaneError

PREFIX = "whsec_"


class NoCallbackSecret(OpsplaneError):
    """The installation has no secret to sign callbacks with, or one that cannot be read."""


class SigningSecrets:
    """The secrets in a file, one in each line, the newest first; read at every use, so a change holds at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[bytes]:
        """The keys; raises `NoCallbackSecret`."""
        try:
            lines = self._path.read_text(encoding="ascii").split()
            keys = [base64.b64decode(line.removeprefix(PREFIX), validate=True) for line in lines]
        except (OSError, UnicodeDecodeError, binascii.Error) as error:
            raise NoCallbackSecret(
                f"{self._path} cannot be read: {type(error).__name__}.",
                remedy="Make a new secret with: opsplane callback rotate",
            ) from None
        if not keys:
            raise NoCallbackSecret(
                f"{self._path} is empty.", remedy="Make a secret with: opsplane callback rotate"
            )
        return keys


def sign(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature for each key, so that receivers may have either."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)
