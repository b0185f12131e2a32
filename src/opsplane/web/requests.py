"""Requests whose JSON nobody can read are the caller's fault, in every way they can be unreadable."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.exceptions import SerializationException


class JsonRequest(Request[Any, Any, Any]):
    """A request whose body is refused with 400 when it is no JSON: bytes that are no UTF-8 and endless nesting too."""

    async def json(self) -> Any:
        """The decoded body."""
        try:
            return await super().json()
        except (UnicodeDecodeError, RecursionError) as error:
            raise SerializationException(f"JSON is malformed: {error}") from error
