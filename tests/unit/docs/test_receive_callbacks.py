"""The receiver's code of the how-to, run on what is signed."""

from __future__ import annotations

import base64
import re
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opsplane.embedded.keys import new_callback_secret
from opsplane.tasks.callbacks.signing import sign

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "receive-callbacks.md"


def verifier() -> Callable[..., bool]:
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    found: dict[str, Any] = {}
    exec(textwrap.dedent(code[0]), found)
    return found["verify"]  # type: ignore[no-any-return]


def signed(*secrets: str, at: float, body: bytes) -> dict[str, str]:
    keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
    signature = sign(keys, "a-message", int(at), body)
    return {"webhook-id": "a-message", "webhook-timestamp": str(int(at)), "webhook-signature": signature}


def test_the_code_of_the_page_tells_ours_from_others() -> None:
    verify, secret, other, now = verifier(), new_callback_secret(), new_callback_secret(), time.time()
    body = '{"data": {"id": "ä"}}'.encode()
    assert verify(secret, signed(secret, at=now, body=body), body)
    assert verify(secret, signed(other, secret, at=now, body=body), body)  # while it is rotated
    assert not verify(secret, signed(other, at=now, body=body), body)
    assert not verify(secret, signed(secret, at=now, body=body), body + b" ")
    assert not verify(secret, signed(secret, at=now - 400, body=body), body)
    assert not verify(secret, signed(secret, at=now, body=body) | {"webhook-id": "another"}, body)
