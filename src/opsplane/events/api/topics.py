"""Topics over HTTP. (Annotations are read at run time.)"""

from typing import Any

from litestar import get
from litestar.types import ControllerRouterHandler

from opsplane.events import inspect
from opsplane.events.backbone import Backbone


def topic_handlers(backbone: Backbone) -> list[ControllerRouterHandler]:
    """The routes of topics."""

    @get("/topics", operation_id="listTopics")
    async def list_topics() -> dict[str, Any]:
        """Every topic with its length and groups."""
        return {"data": await inspect.list_topics(backbone.broker)}

    return [list_topics]
