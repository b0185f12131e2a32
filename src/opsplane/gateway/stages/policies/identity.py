"""Identity headers: what a client sends is removed before anything runs, what a token proves is set."""

from __future__ import annotations

from typing import Any

from opsplane.gateway.stages.typed import matching, typed

USER, ROLES, CLIENT = "x-user-id", "x-user-roles", "x-client-type"

# Names an upstream could take for who calls or where from, with `_` for `-`, as some frameworks fold them.
FORGEABLE = (
    "x[-_]user([-_].*)?",
    "x[-_]admin([-_].*)?",
    "x[-_]client[-_]type",
    "x[-_]envoy[-_].*",
    "x[-_]request[-_]id",
    "x[-_]real[-_]ip",
    "x[-_]original[-_].*",
    "x[-_]rewrite[-_]url",
    "x[-_]http[-_]method([-_]override)?",
    "x[-_]method[-_]override",
    "forwarded",
    "proxy",
)
FORWARDED = ("x[-_]forwarded[-_].*",)


def stripped_headers(*, trusted_hops: int) -> dict[str, Any]:
    """Removes every header only the gateway may set; forwarding ones too unless proxies of ours set them."""
    names = FORGEABLE if trusted_hops else FORGEABLE + FORWARDED
    expression = "(?i)(" + "|".join(names) + ")"
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": typed(
            "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            mutations=[{"remove_on_match": {"key_matcher": matching(expression)}}],
        ),
    }
