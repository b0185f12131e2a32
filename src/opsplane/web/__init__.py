"""HTTP as every role serves it: problem+json, verified identity, paging, event streams, health."""

from __future__ import annotations

from opsplane.web.application import create_app
from opsplane.web.document import PUBLIC
from opsplane.web.identity import Caller, Identity, Verifier, requires
from opsplane.web.paging import Page, PageNumber, PageSize, paged
from opsplane.web.problems import problem_response, problems
from opsplane.web.requests import JsonRequest
from opsplane.web.server import serve
from opsplane.web.streams import event_stream
from opsplane.web.tokens import TokenIssuer

__all__ = [
    "PUBLIC",
    "Caller",
    "Identity",
    "JsonRequest",
    "Page",
    "PageNumber",
    "PageSize",
    "TokenIssuer",
    "Verifier",
    "create_app",
    "event_stream",
    "paged",
    "problem_response",
    "problems",
    "requires",
    "serve",
]
