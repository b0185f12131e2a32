"""Publishing over HTTP. (Annotations are read at run time.)"""

from typing import Any

from litestar import post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.types import ControllerRouterHandler

from opsplane.events import direct
from opsplane.events.backbone import Backbone
from opsplane.events.schemas import Schemas
from opsplane.web import Caller, requires

PUBLISHERS = ("operations_staff", "service")


def publishing_handlers(backbone: Backbone, schemas: Schemas) -> list[ControllerRouterHandler]:
    """The route that publishes."""

    @post("/{topic:str}", status_code=202, guards=[requires(*PUBLISHERS)], operation_id="publishEvent")
    async def publish(
        topic: FromPath[str], data: JSONBody[Any], identity: Caller, subject: FromQuery[str | None] = None
    ) -> dict[str, Any]:
        """Publish a payload or a CloudEvents envelope; 400 lists every violation of the schema."""
        done = await direct.publish(
            backbone.broker, schemas, topic, data, source=f"user:{identity.sub}", subject=subject
        )
        return {"data": done}

    return [publish]
