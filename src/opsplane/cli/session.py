"""An operator's session on one installation: its settings, and connections opened when first asked for."""

from __future__ import annotations

import getpass
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from opsplane import config
from opsplane.action import Actor

if TYPE_CHECKING:
    import httpx

    from opsplane.database import Pool
    from opsplane.events import Broker

Output = Literal["table", "json", "yaml", "name"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Common:
    """Options every command takes."""

    state: Annotated[
        str | None, Parameter(help="State directory of the installation (or OPSPLANE_STATE).")
    ] = None
    output: Annotated[Output, Parameter(name=["--output", "-o"], help="How the answer is printed.")] = "table"


class Session:
    """What a command works with; connections are closed when the session ends."""

    def __init__(self, settings: config.Settings, stack: AsyncExitStack) -> None:
        self.settings = settings
        self.actor = Actor(getpass.getuser(), frozenset({"admin"}))
        self._stack = stack
        self._pools: dict[str, Pool] = {}
        self._brokers: dict[str, Broker] = {}
        self._api: httpx.AsyncClient | None = None

    async def pool(self, name: str) -> Pool:
        """Connections to the database `name`; `postgres` is the superuser's."""
        from opsplane.database import Pool

        if name not in self._pools:
            administrator = {"postgres": self.settings.engines.postgres.superuser_dsn}
            dsn = {**administrator, **self.settings.databases}[name].reveal()
            self._pools[name] = await Pool.open(dsn, name="opsplane cli", min_size=1, max_size=4, timeout=5.0)
            self._stack.push_async_callback(self._pools[name].close)
        return self._pools[name]

    async def broker(self, user: Literal["events", "service", "admin"] = "admin") -> Broker:
        """The broker with the rights of `user`."""
        from opsplane.events import connect

        if user not in self._brokers:
            url: config.Secret = getattr(self.settings.broker, user)
            allowed = self.settings.broker.allow_vulnerable
            self._brokers[user] = connect(url.reveal(), allow_vulnerable=allowed)
            self._stack.push_async_callback(self._brokers[user].close)
        return self._brokers[user]

    async def api(self) -> httpx.AsyncClient:
        """A client of the gateway that acts as this operator, with a token that lives five minutes."""
        import httpx

        if self._api is None:
            token = self.token("admin", lifetime=300)
            self._api = httpx.AsyncClient(
                base_url=self.settings.gateway.public_url,
                headers={"Authorization": f"Bearer {token}", "User-Agent": "opsplane-cli"},
                timeout=30.0,
            )
            self._stack.push_async_callback(self._api.aclose)
        return self._api

    def token(
        self, *roles: str, sub: str | None = None, lifetime: int = 3600, tenant: str | None = None
    ) -> str:
        """A bearer token signed with the installation's own key."""
        from pathlib import Path

        from opsplane.web import TokenIssuer

        identity = self.settings.identity
        issuer = TokenIssuer(
            Path(identity.private_key), Path(identity.jwks), identity.issuer, identity.audience
        )
        return issuer.issue(sub or self.actor.sub, roles, client_type="cli", lifetime=lifetime, tenant=tenant)


@asynccontextmanager
async def session(common: Common) -> AsyncIterator[Session]:
    """A session on the installation `common` names; raises `NotFound` when there is none.

    What rooms log goes to standard error from here on: standard output is the answer's.
    """
    from opsplane.telemetry import configure_logging

    configure_logging("cli", sys.stderr, "warning")
    settings = config.load(config.state_directory(common.state))
    async with AsyncExitStack() as stack:
        yield Session(settings, stack)
