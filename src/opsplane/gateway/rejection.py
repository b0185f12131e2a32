"""Why a `gateway.yaml` cannot be used."""

from __future__ import annotations

from opsplane.documents import DocumentRejected


class GatewayRejected(DocumentRejected):
    """The gateway's file cannot be used; nothing was changed."""

    cure = "Nothing was changed. `opsplane route lint` checks the file."
