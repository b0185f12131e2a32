"""The composition root: the only room that knows every other. Read in this order it is the flow.

roles → an installation's settings → `composition`: connections, each opened once → `parts`: for each role asked for an HTTP
application and its duties → `running`.
"""

from __future__ import annotations

from opsplane.app.roles import PLATFORM, PROCESSES, SERVICES, default_events_yaml, default_gateway_yaml

__all__ = ["PLATFORM", "PROCESSES", "SERVICES", "default_events_yaml", "default_gateway_yaml"]
