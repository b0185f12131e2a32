"""What the platform wants of its gateway: the shape of `gateway.yaml`, frozen."""

from typing import Literal

import msgspec

from opsplane.documents import Duration, Rate

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
Balance = Literal["round_robin", "least_request", "random"]
Algorithm = Literal["RS256", "ES256"]


class Listen(msgspec.Struct, frozen=True):
    """How the public port listens. `trusted_hops` counts the proxies of ours in front of the gateway."""

    trusted_hops: int = 0
    max_headers_kb: int = 32
    max_headers: int = 100
    headers_timeout: Duration = Duration(10)
    idle_timeout: Duration = Duration(300)


class Issuer(msgspec.Struct, frozen=True):
    """Whose tokens are believed, and which of their claims say who calls."""

    issuer: str
    audiences: tuple[str, ...]
    jwks: str | None = None
    algorithms: tuple[Algorithm, ...] = ("RS256", "ES256")
    user_claim: str = "sub"
    roles_claim: str = "role_names"
    client_claim: str = "client_type"
    cached_tokens: int = 2000


class Breaker(msgspec.Struct, frozen=True):
    """How much may be under way to one service at once; more is refused with 503."""

    connections: int = 1024
    pending: int = 1024
    requests: int = 2048
    retries: int = 16


class Outlier(msgspec.Struct, frozen=True):
    """When an endpoint that fails is left out for a while."""

    consecutive_errors: int = 5
    interval: Duration = Duration(5)
    ejection: Duration = Duration(5)
    max_ejected_percent: int = 50


class Service(msgspec.Struct, frozen=True):
    """How a service is reached; without `endpoints` it is where the platform runs it."""

    endpoints: tuple[str, ...] = ()
    balance: Balance = "least_request"
    connect_timeout: Duration = Duration(1)
    idle_timeout: Duration = Duration(60)
    breaker: Breaker = Breaker()
    outlier: Outlier = Outlier()


class Policies(msgspec.Struct, frozen=True):
    """What happens to a request on its way; None leaves the choice to the preset or the defaults."""

    public: bool | None = None
    issuers: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None
    limit_address: Rate | None = None
    limit_user: Rate | None = None
    timeout: Duration | None = None
    per_try_timeout: Duration | None = None
    retries: int | None = None
    stream: bool | None = None


class Preset(Policies, frozen=True):
    """A named list of policies."""


class Route(Policies, frozen=True, kw_only=True):
    """One route: a name, exactly one way to match the path, a service, and policies."""

    name: str
    service: str
    path: str | None = None
    template: str | None = None
    prefix: str | None = None
    regex: str | None = None
    methods: tuple[Method, ...] = ()
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    preset: str | None = None


class AutoRouting(msgspec.Struct, frozen=True):
    """`{prefix}/{resource}/…` goes to the service that declares the resource, if no route is about it."""

    preset: str
    prefix: str = "/api/v1"
    except_resources: tuple[str, ...] = ()


class Cors(msgspec.Struct, frozen=True):
    """Which other origins may call from a browser, and what they may send."""

    origins: tuple[str, ...]
    methods: tuple[Method, ...] = ("GET", "POST", "PUT", "PATCH", "DELETE")
    headers: tuple[str, ...] = ("authorization", "content-type", "idempotency-key")
    credentials: bool = False
    max_age: Duration = Duration(600)


class Defaults(msgspec.Struct, frozen=True):
    """What holds where neither a route nor its preset says anything."""

    limit_address: Rate | None = None
    timeout: Duration = Duration(15)
    per_try_timeout: Duration | None = None
    retries: int = 2
    cors: Cors | None = None


class GatewayConfig(msgspec.Struct, frozen=True):
    """A whole `gateway.yaml`; `resources` are those the platform's services declare."""

    issuers: dict[str, Issuer]
    routes: tuple[Route, ...]
    listen: Listen = Listen()
    services: dict[str, Service] = {}
    presets: dict[str, Preset] = {}
    auto_routing: AutoRouting | None = None
    defaults: Defaults = Defaults()
    resources: dict[str, str] = {}
