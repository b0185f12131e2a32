"""Formats: asserted in every draft, and those draft-07 does not have yet known to it as well."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal

Formats = Literal["assert", "annotate"]

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# durations after RFC 3339, appendix A, which is what 2019-09 and later mean by `duration`
_TIME = r"T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S)"
_DATE = r"(?:\d+D|\d+M(?:\d+D)?|\d+Y(?:\d+M(?:\d+D)?)?)"
_DURATION = re.compile(rf"P(?:{_DATE}(?:{_TIME})?|{_TIME}|\d+W)", re.ASCII)


def is_uuid(text: str) -> bool:
    """Whether it is written as RFC 9562 has it: 36 characters with four hyphens."""
    return _UUID.fullmatch(text) is not None


def is_duration(text: str) -> bool:
    """Whether it is a duration as RFC 3339 has it."""
    return _DURATION.fullmatch(text) is not None


LATER_THAN_DRAFT_07: Mapping[str, Callable[[str], bool]] = {"uuid": is_uuid, "duration": is_duration}
