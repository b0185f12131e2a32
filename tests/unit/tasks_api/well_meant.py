"""Hooks of schemathesis: calls that are meant well name things that exist, often enough to get past the first check.

Loaded by `SCHEMATHESIS_HOOKS`; `WELL_MEANT` holds, as JSON, values by the name of the parameter or body field.
Cases that are wrong on purpose stay as they are, and so do the ids that a link brought.
"""

from __future__ import annotations

import json
import os
import zlib
from typing import Any

import schemathesis
from schemathesis.generation import GenerationMode
from schemathesis.generation.meta import TestPhase

VALUES: dict[str, list[Any]] = json.loads(os.environ.get("WELL_MEANT", "{}"))
COMPANIONS = {
    "taskType": ("params",),
    "taskTypes": ("waitSeconds",),
}  # given along, as one makes no sense without the other


@schemathesis.hook
def map_case(context: Any, case: Any) -> Any:
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return case
    number = zlib.crc32(repr((case.path_parameters, case.query, case.body)).encode())
    if number % 5 == 0:
        return case
    if case.meta.phase.name is not TestPhase.STATEFUL:
        _give(case.path_parameters, number)
    _give(case.query, number)
    _give(case.body, number)
    return case


def _give(fields: Any, number: int) -> None:
    if not isinstance(fields, dict):
        return
    for name in list(fields):
        for given in (name, *COMPANIONS.get(name, ())):
            if given in VALUES:
                fields[given] = VALUES[given][number % len(VALUES[given])]
