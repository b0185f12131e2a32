"""What is looked at before a handler; requests nobody can read are the caller's fault, in every way they can be so."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import SerializationException, ValidationException

from opsplane.errors import InvalidInput


class JsonRequest(Request[Any, Any, Any]):
    """A request whose body is refused with 400 when it is no JSON: bytes that are no UTF-8 and endless nesting too.

    Nor is a value taken for one of another type, as the framework would: "3" is no number and 0 no truth value.
    """

    async def left(self) -> None:
        """Return when the client has gone; for handlers that answer late, after the body was read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def json(self) -> Any:
        """The decoded body."""
        try:
            body = await super().json()
        except (UnicodeDecodeError, RecursionError) as error:
            raise SerializationException(f"JSON is malformed: {error}") from error
        wanted = self.route_handler.parsed_fn_signature.parameters.get("data")
        if wanted is not None:
            _refuse_mistaken(body, wanted.annotation)
        return body


def _refuse_mistaken(body: Any, kind: Any) -> None:
    """Return unless only a lenient reader would take `body` for a `kind`; what neither takes is told elsewhere."""
    try:
        msgspec.convert(body, kind, str_keys=True)
    except msgspec.ValidationError as error:
        try:
            msgspec.convert(body, kind, strict=False, str_keys=True)
        except msgspec.ValidationError:
            return
        message, _, place = str(error).partition(" - at `$.")
        if message.endswith("got `float`"):
            return  # 3.0 is an integer, as JSON Schema has it
        violation = {"message": message, "key": place.rstrip("`"), "source": "body"}
        raise ValidationException("Validation failed", extra=[violation]) from error


async def before_handler(request: Request[Any, Any, Any]) -> Response[None] | None:
    """The answer to OPTIONS; None for other requests, which go on. Raises `InvalidInput` for a NUL in the address."""
    refuse_nul(request)
    return _methods(request) if request.method == "OPTIONS" else None


def refuse_nul(request: Request[Any, Any, Any]) -> None:
    """Return unless the path or the query has a NUL, which no database keeps; raises `InvalidInput`."""
    if "\0" in request.scope["path"] or b"%00" in request.scope["query_string"]:
        raise InvalidInput("The address contains a NUL character (%00).", remedy="Leave it out.")


def _methods(request: Request[Any, Any, Any]) -> Response[None]:
    """Every method of the path, in one header: the framework has a route, and an answer, for each of them."""
    path = request.scope["path_template"]
    methods = {
        method for route in request.app.routes if route.path_format == path for method in route.methods
    }
    return Response(None, status_code=204, headers={"Allow": ", ".join(sorted(methods))})
