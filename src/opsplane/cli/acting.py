"""Performing operators' actions on events from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opsplane.cli.output import note

if TYPE_CHECKING:
    from opsplane.action import Action
    from opsplane.cli.session import Session
    from opsplane.events.backbone import Backbone


async def backbone(opened: Session, *, outboxes: bool = False) -> Backbone:
    """What the actions work with; with `outboxes` every service's database as well."""
    from opsplane.events.backbone import Backbone
    from opsplane.events.configuration import EventsFile
    from opsplane.service import collect_services, event_schemas

    databases = {name: await opened.pool(name) for name in opened.settings.databases} if outboxes else {}
    return Backbone(
        await opened.pool("operations"),
        await opened.broker("admin"),
        opened.actor.sub,
        databases,
        EventsFile(opened.settings.events_file),
        event_schemas(collect_services().values()),
    )


async def act(
    opened: Session, action: Action[Any, Any, Any], context: Backbone, parameters: Any, reason: str | None
) -> Any:
    """The action's result; who did it and why stands in the audit log."""
    from opsplane.action import perform
    from opsplane.database import append_audit

    audit = append_audit(context.pool)
    return await perform(action, context, parameters, actor=opened.actor, audit=audit, reason=reason)


async def foresee(action: Action[Any, Any, Any], context: Backbone, parameters: Any) -> list[dict[str, Any]]:
    """A sample of what the action would touch, its summary told."""
    preview = await action.preview(context, parameters)
    note(preview.summary)
    return [dict(one) for one in preview.sample]
