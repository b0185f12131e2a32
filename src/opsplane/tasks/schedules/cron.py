"""Cron expressions in a time zone, with the field's rules for the hours a clock change leaves out or repeats."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from opsplane.errors import InvalidInput

ALIASES = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip
FIELDS = "minute hour day-of-month month day-of-week"


class Cron:
    """The times of a five-field expression, as Debian's cron(8) has them.

    A time of day the clock skips comes right after the change, one it repeats comes once; expressions whose minute
    or hour begins with `*` go by elapsed time instead.
    """

    def __init__(self, expression: str, zone: str = "UTC") -> None:
        """Raises `InvalidInput` with a violation at `/cron` or `/zone`."""
        self.expression, self.zone = expression.strip(), zone
        self._zone = _zone(zone)
        self._fields = ALIASES.get(self.expression.lower(), self.expression)
        if len(self._fields.split()) != 5:
            raise _refused(
                "cron",
                f"{expression[:100]!r} has not five fields ({FIELDS}), nor is it one of {', '.join(ALIASES)}",
            )
        try:
            CronSim(self._fields, datetime.now(UTC))
        except CronSimError as error:
            told = str(error)
            raise _refused("cron", f"{expression[:100]!r}: {told[:1].lower()}{told[1:]}") from error

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The times later than `moment`, in UTC, the earliest first; ends when none comes within fifty years."""
        for found in CronSim(self._fields, moment.astimezone(self._zone)):
            yield found.astimezone(UTC)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError) as error:  # ZoneInfoNotFoundError is a KeyError of its own making
        raise _refused("zone", f"{name[:100]!r} is no time zone, such as UTC or Europe/Berlin") from error
    except KeyError as error:
        raise _refused("zone", f"{name[:100]!r} is no time zone, such as UTC or Europe/Berlin") from error


def _refused(field: str, message: str) -> InvalidInput:
    violation = {"pointer": f"/{field}", "keyword": "format", "message": message}
    return InvalidInput(f"{field}: {message}.", violations=[violation])
