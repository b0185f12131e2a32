"""Performing operators' actions for a caller of the API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from opsplane.action import Action, perform
from opsplane.database import append_audit
from opsplane.events.backbone import Backbone
from opsplane.web import Identity

STAFF = ("operations_staff",)


async def act(
    backbone: Backbone,
    action: Action[Backbone, Any, Any],
    wanted: Any,
    identity: Identity,
    reason: str | None,
) -> Any:
    """The action's result; who did it and why stands in the audit log."""
    acting = replace(backbone, actor=identity.sub)
    return await perform(
        action, acting, wanted, actor=identity.actor, audit=append_audit(backbone.pool), reason=reason
    )
