"""Values with a notation of their own."""

import msgspec


class Duration(float):
    """Seconds, written as `250ms`, `30s`, `5m`, `2h` or `7d`."""


class Rate(msgspec.Struct, frozen=True):
    """So many requests in so many seconds, written as `600/1m`; also the size of a burst."""

    count: int
    seconds: float
