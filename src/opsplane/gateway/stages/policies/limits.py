"""How many requests one address or one user may send, counted in this gateway without a call elsewhere."""

from __future__ import annotations

import math
from typing import Any

from opsplane.documents import Rate
from opsplane.gateway.stages.policies.identity import USER
from opsplane.gateway.stages.typed import duration, overwrite, typed

ADDRESS_LIMIT, USER_LIMIT = "opsplane.limit_address", "opsplane.limit_user"
COUNTED = 20_000  # addresses or users remembered at once, the least recently seen are forgotten
_KIND = "extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
_UNCOUNTED = {"max_tokens": 4_000_000_000, "tokens_per_fill": 4_000_000_000, "fill_interval": "1s"}


def limit_filter(name: str) -> dict[str, Any]:
    """A limiter that does nothing until a route says how much."""
    return {"name": name, "disabled": True, "typed_config": typed(_KIND, stat_prefix=_stat(name))}


def limit_of_address(rate: Rate, *, headers: bool) -> dict[str, Any]:
    """A bucket for each client address (each /64 for IPv6); `headers` tell the client what is left."""
    action = {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}}
    return _limit(ADDRESS_LIMIT, "masked_remote_address", action, rate, headers=headers)


def limit_of_user(rate: Rate) -> dict[str, Any]:
    """A bucket for each verified user, and headers that tell what is left."""
    action = {"request_headers": {"header_name": USER, "descriptor_key": "user"}}
    return _limit(USER_LIMIT, "user", action, rate, headers=True)


def retry_after(rate: Rate) -> int:
    """Whole seconds until the next request is allowed at the latest."""
    return max(1, math.ceil(rate.seconds / rate.count))


def policy_header(name: str, rate: Rate) -> dict[str, Any]:
    """The standing offer, as the IETF's RateLimit-Policy field says it."""
    return overwrite("ratelimit-policy", f'"{name}";q={rate.count};w={math.ceil(rate.seconds)}')


def _limit(name: str, key: str, action: dict[str, Any], rate: Rate, *, headers: bool) -> dict[str, Any]:
    bucket = {"max_tokens": rate.count, **_refill(rate)}
    answer = [overwrite("retry-after", str(retry_after(rate)))]
    return typed(
        _KIND,
        stat_prefix=_stat(name),
        filter_enabled=_ALWAYS,
        filter_enforced=_ALWAYS,
        token_bucket=_UNCOUNTED,
        always_consume_default_token_bucket=False,
        max_dynamic_descriptors=COUNTED,
        rate_limits=[{"actions": [action]}],
        descriptors=[{"entries": [{"key": key}], "token_bucket": bucket}],
        response_headers_to_add=answer,
        **({"enable_x_ratelimit_headers": "DRAFT_VERSION_03"} if headers else {}),
    )


def _refill(rate: Rate) -> dict[str, Any]:
    """Refilled as steadily as Envoy allows: at least one token and 50 ms at a time."""
    portions = max(1, min(rate.count, int(rate.seconds / 0.05)))
    while rate.count % portions:
        portions -= 1
    return {"tokens_per_fill": rate.count // portions, "fill_interval": duration(rate.seconds / portions)}


def _stat(name: str) -> str:
    return name.replace(".", "_")
