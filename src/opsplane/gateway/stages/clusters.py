"""One cluster for each service: where it is, how much it may be asked, when an endpoint is left out."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from opsplane.gateway.document import Breaker, Outlier, Service
from opsplane.gateway.stages.typed import duration, typed

_BALANCE = {"round_robin": "ROUND_ROBIN", "least_request": "LEAST_REQUEST", "random": "RANDOM"}
_HTTP = "extensions.upstreams.http.v3.HttpProtocolOptions"


def cluster(name: str, service: Service, endpoints: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """The cluster of a service; without endpoints it exists and answers 503."""
    own = [_address(endpoint) for endpoint in service.endpoints] or list(endpoints)
    numeric = all(_is_ip(host) for host, _ in own)
    options = typed(
        _HTTP,
        common_http_protocol_options={"idle_timeout": duration(service.idle_timeout)},
        explicit_http_config={"http_protocol_options": {}},
    )
    return {
        **typed("config.cluster.v3.Cluster"),
        "name": name,
        "type": "STATIC" if numeric else "STRICT_DNS",
        **({} if numeric else {"dns_lookup_family": "V4_PREFERRED"}),
        "connect_timeout": duration(service.connect_timeout),
        "lb_policy": _BALANCE[service.balance],
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [_endpoint(*one) for one in own]}],
        },
        "circuit_breakers": {"thresholds": [_thresholds(service.breaker)]},
        "outlier_detection": _outlier(service.outlier),
        "common_lb_config": {"healthy_panic_threshold": {"value": 0 if len(own) > 1 else 50}},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options
        },
    }


def _thresholds(breaker: Breaker) -> dict[str, int]:
    return {
        "max_connections": breaker.connections,
        "max_pending_requests": breaker.pending,
        "max_requests": breaker.requests,
        "max_retries": breaker.retries,
    }


def _outlier(outlier: Outlier) -> dict[str, Any]:
    """Only failures to connect and 502–504 count: an endpoint that answers 500 is alive and says what is wrong."""
    return {
        "consecutive_gateway_failure": outlier.consecutive_errors,
        "enforcing_consecutive_gateway_failure": 100,
        "enforcing_consecutive_5xx": 0,
        "enforcing_success_rate": 0,
        "interval": duration(outlier.interval),
        "base_ejection_time": duration(outlier.ejection),
        "max_ejection_percent": outlier.max_ejected_percent,
    }


def _endpoint(host: str, port: int) -> dict[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}


def _address(endpoint: str) -> tuple[str, int]:
    host, _, port = endpoint.rpartition(":")
    return host, int(port)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
