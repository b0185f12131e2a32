"""The reference names every field of the worker protocol, and the how-to's bodies are ones the API takes."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from opsplane.tasks.api.remote_messages import (
    ClaimBody,
    ClaimsView,
    ClaimView,
    CompleteBody,
    EndView,
    FailBody,
    FileBody,
    HeardView,
    HeartbeatBody,
    LeaveBody,
    LeftView,
    LogBody,
    ProgressBody,
    PulseView,
    TaskProgressBody,
)

DOCS = Path(__file__).parents[3] / "docs"
MESSAGES = [
    ClaimBody, ClaimsView, ClaimView, CompleteBody, EndView, FailBody, FileBody, HeardView, HeartbeatBody, LeaveBody, LeftView,
    LogBody, ProgressBody, PulseView, TaskProgressBody,
]  # fmt: skip
SHOWN = [ClaimBody, HeartbeatBody, CompleteBody, FailBody, LeaveBody]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_every_field_is_in_the_reference(message: type[msgspec.Struct]) -> None:
    text = (DOCS / "reference" / "tasks.md").read_text(encoding="utf-8")
    section = re.sub(r"\n## .*", "", text.split("## Remote workers\n")[1], flags=re.DOTALL)
    missing = [
        field.encode_name
        for field in msgspec.structs.fields(message)
        if f"`{field.encode_name}`" not in section
    ]
    assert missing == []


def test_the_bodies_of_the_how_to_are_taken() -> None:
    text = (DOCS / "how-to" / "write-a-worker-in-another-language.md").read_text(encoding="utf-8")
    bodies = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    for body, message in zip(bodies, SHOWN, strict=True):
        msgspec.json.decode(body, type=message)
