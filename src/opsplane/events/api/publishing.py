"""Publishing over HTTP. (Annotations are read at run time.)"""

from datetime import datetime
from typing import Any

from litestar import post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.types import ControllerRouterHandler

from opsplane.events.direct import DirectPublisher
from opsplane.web import Caller, requires

PUBLISHERS = ("operations_staff", "service")


def publishing_handlers(publisher: DirectPublisher) -> list[ControllerRouterHandler]:
    """The route that publishes."""

    @post("/{topic:str}", status_code=202, guards=[requires(*PUBLISHERS)], operation_id="publishEvent")
    async def publish(
        topic: FromPath[str],
        data: JSONBody[Any],
        identity: Caller,
        subject: FromQuery[str | None] = None,
        deliver_at: FromQuery[datetime | None] = None,
    ) -> dict[str, Any]:
        """Publish a payload or a CloudEvents envelope, now or at `deliver_at`.

        400 lists every violation of the schema; 503 means that the stream is full.
        """
        done = await publisher.publish(
            topic, data, source=f"user:{identity.sub}", subject=subject, deliver_at=deliver_at
        )
        return {"data": done}

    return [publish]
