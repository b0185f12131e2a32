from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsplane.errors import InvalidInput
from opsplane.resilience import Backoff, Retry, seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [("250ms", 0.25), ("30s", 30), ("5m", 300), ("2h", 7200), ("7d", 604800), ("1.5", 1.5), (3, 3)],
)
def test_durations(text: str | float, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "soon", "5 parsecs", "-1s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a duration"):
        seconds(text)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_delay_grows_within_its_bounds(attempt: int, chance: float) -> None:
    delay = Backoff(1, 30, random=lambda: chance).delay(attempt)
    step = min(30.0, 2.0 ** min(attempt - 1, 60))
    assert step / 2 <= delay <= step


def test_retries_end() -> None:
    retry = Retry(2, "5s")
    assert [retry.delay(attempt) for attempt in (1, 2, 3)] == [5.0, 5.0, None]
