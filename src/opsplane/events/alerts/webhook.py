"""The webhook: one POST, whose failures are told without its address, which may hold a secret."""

from __future__ import annotations

from typing import Any

import httpx

from opsplane.errors import OpsplaneError

TIMEOUT = 5.0


class NotDelivered(OpsplaneError):
    """The webhook did not take the message."""


async def post(address: str, payload: Any, *, timeout: float = TIMEOUT) -> None:  # noqa: ASYNC109  httpx's own
    """Return when the webhook has taken the message; raises `NotDelivered`.

    Private addresses are fine, it is an operator's setting; where a redirect leads nobody has set, so none is followed.
    """
    try:
        async with (
            httpx.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", address, json=payload) as answer,
        ):
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotDelivered(f"The webhook was not reached: {type(error).__name__}.") from None
    if 300 <= status < 400:
        raise NotDelivered(f"The webhook answered {status}; redirects are not followed.")
    if status >= 400:
        raise NotDelivered(f"The webhook answered {status}.")
