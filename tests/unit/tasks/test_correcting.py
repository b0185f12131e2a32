"""Which imports have rows that can be corrected, and what of their parameters a corrected file keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from opsplane.errors import InvalidInput
from opsplane.tasks import ResultFile, Status, Task
from opsplane.tasks.bulk import NothingToCorrect, corrected_params

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARAMS = {
    "policy": "skip",
    "mapping": {"Preis": "price"},
    "delimiter": ";",
    "encoding": "cp1252",
    "unguard": False,
}


def imported(**facts: Any) -> Task:
    given = {
        "id": "1", "task_type": "product.import", "status": Status.COMPLETED, "queue": "catalog", "priority": 4,
        "params": PARAMS, "created_at": NOW, "updated_at": NOW, "completed_at": NOW, "error_file": ResultFile("k", "e.csv"),
    }  # fmt: skip
    return Task(**(given | facts))


def test_what_says_how_the_first_file_was_written_is_not_kept() -> None:
    kept = {"policy": "skip", "mapping": {"Preis": "price"}}
    assert corrected_params(imported()) == kept | {"delimiter": None, "encoding": None, "unguard": True}


@pytest.mark.parametrize(
    ("facts", "error", "said"),
    [
        ({"task_type": "product.export"}, InvalidInput, "only imports"),
        ({"completed_at": None, "status": Status.PROCESSING}, NothingToCorrect, "is processing"),
        ({"error_file": None}, NothingToCorrect, "refused no rows"),
        ({"status": Status.FAILED, "params": {"policy": "abort"}}, NothingToCorrect, "none of its rows"),
        ({"params": {"policy": "validateOnly"}}, NothingToCorrect, "none of its rows"),
        ({"status": Status.CANCELLED}, NothingToCorrect, "none of its rows"),
    ],
)
def test_others_are_refused(facts: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        corrected_params(imported(**facts))
