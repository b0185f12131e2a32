"""From the text of `gateway.yaml` to a configuration that makes sense as a whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from opsplane.documents import Path, Reader, nearest
from opsplane.gateway.document import GatewayConfig, Policies, Route, Service
from opsplane.gateway.rejection import GatewayRejected
from opsplane.gateway.resolution import decided
from opsplane.gateway.stages.policies.cors import NOWHERE

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_ENDPOINT = re.compile(r"[A-Za-z0-9.-]+:\d{1,5}")
_PATTERN = re.compile(r"/[A-Za-z0-9/._~!$&'()*+,=:@-]*")
_ROLE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_FIELD = re.compile(r"[a-z0-9-]+")
_WAYS = ("path", "template", "prefix", "regex")


def parse(text: str, file: str, *, services: Mapping[str, Sequence[str]]) -> GatewayConfig:
    """The configuration in `text`; `services` are those the platform runs, with the resources each declares.

    Raises `GatewayRejected` with every error at once, each with file, line, column, key and, where one is
    close, the name that was probably meant.
    """
    reader = Reader(GatewayRejected, hidden=("resources",))
    config = reader.read(text, file, GatewayConfig)
    if config is not None:
        _Checks(reader, config, services).run()
    if reader.violations or config is None:
        raise GatewayRejected(file, reader.violations)
    known = {**{name: Service() for name in services}, **config.services}
    resources = {resource: name for name, declared in services.items() for resource in declared}
    return GatewayConfig(
        issuers=config.issuers,
        routes=config.routes,
        listen=config.listen,
        services=known,
        presets=config.presets,
        auto_routing=config.auto_routing,
        defaults=config.defaults,
        resources=resources,
    )


class _Checks:
    """What must hold between the parts of a document; complains through its reader."""

    def __init__(self, reader: Reader, config: GatewayConfig, services: Mapping[str, Sequence[str]]) -> None:
        self._reader = reader
        self._config = config
        self._platform = services
        self._services = {*services, *config.services}

    def run(self) -> None:
        self._names()
        self._endpoints()
        for name, preset in self._config.presets.items():
            self._policies(preset, ("presets", name))
        for route in self._config.routes:
            self._route(route, self._reader.place(route))
        self._auto_routing()
        self._issuers()

    def _names(self) -> None:
        if NOWHERE in self._services:
            self._reader.complain(("services", NOWHERE), "this name is the gateway's own.")
        for section in ("services", "presets", "issuers"):
            for name in getattr(self._config, section):
                if not _NAME.fullmatch(name):
                    self._reader.complain((section, name), "a name is lower case letters, digits and `-`.")
        counted = Counter(route.name for route in self._config.routes)
        for route in self._config.routes:
            place = (*self._reader.place(route), "name")
            if counted[route.name] > 1:
                self._reader.complain(place, f"`{route.name}` names {counted[route.name]} routes.")
            if not _NAME.fullmatch(route.name):
                self._reader.complain(place, "a name is lower case letters, digits and `-`.")

    def _endpoints(self) -> None:
        for name, service in self._config.services.items():
            place: Path = ("services", name)
            if name not in self._platform and not service.endpoints:
                self._reader.complain(
                    place,
                    "the platform runs no such service, so it needs `endpoints`.",
                    nearest(name, self._platform),
                )
            for index, endpoint in enumerate(service.endpoints):
                if not _ENDPOINT.fullmatch(endpoint) or not 0 < int(endpoint.rpartition(":")[2]) < 65536:
                    self._reader.complain((*place, "endpoints", index), f"{endpoint!r} is not host:port.")

    def _route(self, route: Route, place: Path) -> None:
        self._known(route.service, self._services, "service", (*place, "service"))
        if route.preset is not None:
            self._known(route.preset, self._config.presets, "preset", (*place, "preset"))
        self._policies(route, place)
        self._match(route, place)
        self._decision(route, place)

    def _match(self, route: Route, place: Path) -> None:
        ways = [way for way in _WAYS if getattr(route, way) is not None]
        if len(ways) > 1 or not (ways or self._reader.flawed(place)):
            self._reader.complain(place, f"a route matches by exactly one of {', '.join(_WAYS)}.")
        for way in ways:
            for problem in _pattern_problems(way, getattr(route, way)):
                self._reader.complain((*place, way), problem)
        for name in route.headers:
            if not _FIELD.fullmatch(name) or name.startswith(("x-user-", "x-admin-", "x-client-type")):
                self._reader.complain(
                    (*place, "headers", name), "not a header a client may choose a route by."
                )

    def _policies(self, policies: Policies, place: Path) -> None:
        if policies.public and (policies.roles or policies.issuers):
            self._reader.complain((*place, "public"), "a public route takes no issuers and no roles.")
        if policies.issuers is not None and not policies.issuers:
            self._reader.complain((*place, "issuers"), "must name at least one issuer.")
        for index, issuer in enumerate(policies.issuers or ()):
            self._known(issuer, self._config.issuers, "issuer", (*place, "issuers", index))
        for index, role in enumerate(policies.roles or ()):
            if not _ROLE.fullmatch(role):
                self._reader.complain((*place, "roles", index), f"{role!r} is not a role.")

    def _decision(self, route: Route, place: Path) -> None:
        preset = self._config.presets.get(route.preset) if route.preset else None
        public, issuers = decided(route, preset)
        if self._reader.flawed(place) or (route.preset and self._reader.flawed(("presets", route.preset))):
            return
        if not public and not issuers:
            self._reader.complain(
                place,
                "says nothing of authentication; write `public: true`, name `issuers`, or use a preset that does.",
            )
        roles = route.roles if route.roles is not None else preset.roles if preset else None
        if public and roles:
            self._reader.complain(place, "is public by its preset and names roles, which nobody would have.")

    def _auto_routing(self) -> None:
        auto = self._config.auto_routing
        if auto is None:
            return
        self._known(auto.preset, self._config.presets, "preset", ("auto_routing", "preset"))
        preset = self._config.presets.get(auto.preset)
        if preset is not None and not preset.public and not preset.issuers:
            self._reader.complain(
                ("auto_routing", "preset"), f"`{auto.preset}` says nothing of authentication."
            )
        resources = [resource for declared in self._platform.values() for resource in declared]
        for index, resource in enumerate(auto.except_resources):
            self._known(resource, resources, "resource", ("auto_routing", "except_resources", index))

    def _issuers(self) -> None:
        for name, issuer in self._config.issuers.items():
            place: Path = ("issuers", name)
            if not issuer.audiences and not self._reader.flawed(place):
                self._reader.complain(place, "must name at least one audience.")
            if not issuer.algorithms:
                self._reader.complain((*place, "algorithms"), "must name at least one algorithm.")

    def _known(
        self, name: str, known: Mapping[str, object] | Sequence[str] | set[str], kind: str, place: Path
    ) -> None:
        if name not in known:
            self._reader.complain(place, f"there is no {kind} `{name}`.", nearest(name, known))


def _pattern_problems(way: str, pattern: str) -> Iterator[str]:
    if way == "regex":
        try:
            re.compile(pattern)
        except re.error as error:
            yield f"{pattern!r} is not a regular expression: {error}."
        if not pattern.startswith("/"):
            yield "a regular expression matches the whole path, so it starts with `/`."
        return
    literal = re.sub(r"\{[A-Za-z_][A-Za-z0-9_]*\}", "x", pattern) if way == "template" else pattern
    if not _PATTERN.fullmatch(literal):
        yield f"{pattern!r} is not a path as the gateway sees it (decoded, with one `/` between parts, no `;` or `%`)."
    elif "//" in literal or "/./" in f"{literal}/" or "/../" in f"{literal}/":
        yield f"{pattern!r} would be normalised to another path, so no request could match it."
    if way == "prefix" and len(pattern) > 1 and pattern.endswith("/"):
        yield "a prefix covers whole path parts; write it without the last `/`."
