"""Paths that upstreams might read otherwise than the gateway does: refused, whatever they seem to ask for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opsplane.gateway.resolution import Resolved
from opsplane.gateway.stages.typed import matching

_PLAIN = r"A-Za-z0-9/._~!$&'()*+,=:@\-"
_HEX = "[0-9A-Fa-f]"
# Anything but plain characters and well-formed escapes; escapes of control characters, of `%` itself
# (a second decoding), of `.`, `/`, `\` and `;`; a `.` or `..` part that survived normalisation;
# a part that begins or ends with a space, which some upstreams trim.
UNSAFE = (
    f"(?:.|\\n)*(?:[^{_PLAIN}%]|%(?:[01]{_HEX}|7[Ff]|25|2[EeFf]|5[Cc]|3[Bb])"
    f"|%(?:[^0-9A-Fa-f]|$)|%{_HEX}(?:[^0-9A-Fa-f]|$)|/\\.\\.?(?:/|$)|/%20|%20(?:/|$))(?:.|\\n)*"
)
ODD_HOST = r"(?:.|\n)*[^A-Za-z0-9._:\[\]\-](?:.|\n)*"


def guards() -> list[dict[str, Any]]:
    """Routes before all others that refuse unsafe paths and hosts."""
    host = {"name": ":authority", "string_match": matching(ODD_HOST)}
    return [
        _refused(
            "unsafe-path", matching(UNSAFE), 400, "The path has characters or escapes that are not accepted."
        ),
        _refused(
            "unsafe-host", {"prefix": "/", "headers": [host]}, 400, "The Host header is not acceptable."
        ),
    ]


def case_guards(routes: Iterable[Resolved]) -> dict[str, dict[str, Any]]:
    """For each protected route that a wider one would catch in another case: a refusal right behind it, by name.

    `/API/v1/Orders` must not slip past the rule for `/api/v1/orders` into a public `/` that an upstream
    reads without regard to case.
    """
    found: dict[str, dict[str, Any]] = {}
    listed = list(routes)
    for position, route in enumerate(listed):
        wider = any(_covers(other, route) for other in listed[position + 1 :])
        if not route.public and wider and route.kind != "regex":
            match = matching(f"(?i){route.expression()}")
            found[route.name] = _refused(f"{route.name}-case", match, 404, "There is nothing here.")
    return found


def nothing_else() -> dict[str, Any]:
    """Deny by default: what no route wants is not there."""
    return _refused("nothing", {"prefix": "/"}, 404, "There is nothing here.")


def _covers(wider: Resolved, route: Resolved) -> bool:
    """Whether `wider` may catch another spelling of what `route` protects more strictly."""
    if wider.kind == "regex":
        return True
    if wider.kind != "prefix":
        return False
    base = wider.pattern.rstrip("/").lower()
    return route.pattern.lower() == base or route.pattern.lower().startswith(f"{base}/")


def _refused(name: str, match: dict[str, Any], status: int, reason: str) -> dict[str, Any]:
    answer = {"status": status, "body": {"inline_string": reason}}
    return {"name": name, "match": match, "direct_response": answer}
