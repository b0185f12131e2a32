"""The public listener: what is refused at the door, and the filters every request may meet."""

from __future__ import annotations

from typing import Any

from opsplane.gateway.document import Listen
from opsplane.gateway.files import KEYS, ROUTES
from opsplane.gateway.snapshot import Place
from opsplane.gateway.stages.access_log import access_log
from opsplane.gateway.stages.answers import local_answers
from opsplane.gateway.stages.policies.identity import stripped_headers
from opsplane.gateway.stages.policies.limits import ADDRESS_LIMIT, USER_LIMIT, limit_filter
from opsplane.gateway.stages.policies.roles import ROLES
from opsplane.gateway.stages.policies.tokens import TOKENS
from opsplane.gateway.stages.typed import duration, typed

NAME = "public"
BUFFER = 128 * 1024
_FILTERS = "extensions.filters.http"


def listener(listen: Listen, place: Place) -> dict[str, Any]:
    """The listener; its routes and token keys come from files of their own, whose changes drain nobody."""
    manager = typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=NAME,
        codec_type="AUTO",
        rds={"route_config_name": NAME, "config_source": _file(place, ROUTES)},
        http_filters=http_filters(place),
        access_log=[access_log(str(place.access_log))],
        local_reply_config=local_answers(),
        early_header_mutation_extensions=[stripped_headers(trusted_hops=listen.trusted_hops)],
        **_door(listen),
        **_limits(listen),
    )
    chain = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    return {
        **typed("config.listener.v3.Listener"),
        "name": NAME,
        "address": {"socket_address": {"address": place.address, "port_value": place.port}},
        "per_connection_buffer_limit_bytes": BUFFER,
        "filter_chains": [{"filters": [chain]}],
    }


def http_filters(place: Place) -> list[dict[str, Any]]:
    """The filters in the order a request meets them; all but the last run only on routes that name them."""
    tokens = {
        "name": TOKENS,
        "disabled": True,
        "config_discovery": {
            "config_source": _file(place, KEYS),
            "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"],
        },
    }
    return [
        _filter("envoy.filters.http.cors", f"{_FILTERS}.cors.v3.Cors", disabled=True),
        limit_filter(ADDRESS_LIMIT),
        tokens,
        _filter(ROLES, f"{_FILTERS}.rbac.v3.RBAC", disabled=True),
        limit_filter(USER_LIMIT),
        _filter("envoy.filters.http.router", f"{_FILTERS}.router.v3.Router", disabled=False),
    ]


def _filter(name: str, kind: str, *, disabled: bool) -> dict[str, Any]:
    return {"name": name, **({"disabled": True} if disabled else {}), "typed_config": typed(kind)}


def _file(place: Place, name: str) -> dict[str, Any]:
    return {"path_config_source": {"path": str(place.directory / name)}, "resource_api_version": "V3"}


def _door(listen: Listen) -> dict[str, Any]:
    """How a request is normalised and refused before anything else looks at it."""
    return {
        "use_remote_address": True,
        "xff_num_trusted_hops": listen.trusted_hops,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "strip_any_host_port": True,
        "strip_trailing_host_dot": True,
        "generate_request_id": True,
        "preserve_external_request_id": False,
        "always_set_request_id_in_response": True,
        "server_header_transformation": "OVERWRITE",
        "server_name": "opsplane",
        "stream_error_on_invalid_http_message": False,
        "internal_address_config": {"cidr_ranges": []},
    }


def _limits(listen: Listen) -> dict[str, Any]:
    """What one connection may cost: slow, huge and endless requests end here."""
    return {
        "max_request_headers_kb": listen.max_headers_kb,
        "request_headers_timeout": duration(listen.headers_timeout),
        "stream_idle_timeout": duration(listen.idle_timeout),
        "common_http_protocol_options": {
            "idle_timeout": duration(listen.idle_timeout),
            "headers_with_underscores_action": "REJECT_REQUEST",
            "max_headers_count": listen.max_headers,
        },
        "http2_protocol_options": {
            "max_concurrent_streams": 128,
            "initial_stream_window_size": 65536,
            "initial_connection_window_size": 1048576,
        },
    }
