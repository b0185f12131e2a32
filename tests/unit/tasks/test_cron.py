"""When a cron expression comes, clock changes included; the expected times are Debian cron's, worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import pytest

from opsplane.errors import InvalidInput
from opsplane.tasks.schedules import Cron


def times(expression: str, zone: str, after: str, count: int) -> list[str]:
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    return [f"{found:%m-%d %H:%M}" for found in islice(Cron(expression, zone).after(moment), count)]


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        ("0 3 * * *", "UTC", "2026-03-01T03:00:00", ["03-02 03:00", "03-03 03:00"]),
        ("0 3 * * *", "Europe/Berlin", "2026-01-10T12:00:00", ["01-11 02:00", "01-12 02:00"]),
        ("0 3 * * *", "Europe/Berlin", "2026-07-10T12:00:00", ["07-11 01:00", "07-12 01:00"]),
        ("@daily", "Asia/Kathmandu", "2026-05-01T00:00:00", ["05-01 18:15", "05-02 18:15"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00", ["02-29 00:00"]),
        ("0 0 L * *", "UTC", "2026-02-01T00:00:00", ["02-28 00:00", "03-31 00:00"]),
        # 02:30 does not exist on 2026-03-29 in Berlin: it comes right after the change, at 03:00 (01:00 UTC)
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00", ["03-29 01:00", "03-30 00:30"]),
        # 02:30 exists twice on 2026-10-25: it comes once, the first time (00:30 UTC)
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00", ["10-25 00:30", "10-26 01:30"]),
        # what goes by elapsed time comes every half hour of the repeated hour, too
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-10-24T23:59:00",
            ["10-25 00:00", "10-25 00:30", "10-25 01:00", "10-25 01:30"],
        ),
    ],
)
def test_times(expression: str, zone: str, after: str, expected: list[str]) -> None:
    assert times(expression, zone, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "zone", "pointer", "words"),
    [
        ("60 * * * *", "UTC", "/cron", "bad minute"),
        ("* * * * * *", "UTC", "/cron", "five fields"),
        ("", "UTC", "/cron", "five fields"),
        ("@often", "UTC", "/cron", "@daily"),
        ("0 0 30 2 *", "UTC", "/cron", "bad day-of-month"),
        ("0 0 * * *", "Europe/Berlin2", "/zone", "no time zone"),
        ("0 0 * * *", "../../etc/passwd", "/zone", "no time zone"),
        ("0 0 * * *", "", "/zone", "no time zone"),
    ],
)
def test_what_is_no_expression_or_zone_is_refused(
    expression: str, zone: str, pointer: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        Cron(expression, zone)
    (violation,) = caught.value.violations
    assert violation["pointer"] == pointer
    assert words in violation["message"]
