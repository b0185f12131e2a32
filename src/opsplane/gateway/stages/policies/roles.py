"""Who may pass: a well-formed verified identity, with one of the roles a route names."""

from __future__ import annotations

import re
from typing import Any

from opsplane.gateway.stages.policies import identity
from opsplane.gateway.stages.typed import matching, typed

ROLES = "opsplane.roles"
_KIND = "extensions.filters.http.rbac.v3"

# The headers were set from signed claims, yet an issuer may sign what breaks a log, a header or an upstream.
WELL_FORMED = {identity.USER: "[!-~]{1,256}", identity.ROLES: "[A-Za-z0-9_.:,-]*"}


def roles_of(roles: tuple[str, ...]) -> dict[str, Any]:
    """What a route says to let only callers with one of `roles` pass, or any verified one when there are none."""
    wanted = {**WELL_FORMED, **({identity.ROLES: holding(roles)} if roles else {})}
    identities = [_header(name, expression) for name, expression in wanted.items()]
    policy = {"permissions": [{"any": True}], "principals": [{"and_ids": {"ids": identities}}]}
    return typed(
        f"{_KIND}.RBACPerRoute", rbac={"rules": {"action": "ALLOW", "policies": {"identity": policy}}}
    )


def holding(roles: tuple[str, ...]) -> str:
    """Matches a list of roles, with or without commas around it, that has one of `roles`."""
    names = "|".join(re.escape(role) for role in roles)
    other = "[A-Za-z0-9_.:,-]*"
    return f"(?:{other},)?(?:{names})(?:,{other})?"


def _header(name: str, expression: str) -> dict[str, Any]:
    return {"header": {"name": name, "string_match": matching(expression)}}
