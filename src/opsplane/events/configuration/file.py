"""The configuration in force: read again when the file changes."""

from __future__ import annotations

import time
from pathlib import Path

from opsplane.errors import InvalidInput
from opsplane.events.configuration.document import EventsConfig
from opsplane.events.configuration.parsing import parse
from opsplane.telemetry import get_logger

log = get_logger("events")
LOOK = 1.0


class EventsFile:
    """`events.yaml` of an installation; asking for `current` costs a look at the file at most once a second.

    `error` is None while what is in the file is in force, else why it is not; a missing file means the defaults.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._look_at = 0.0
        self._config = EventsConfig()
        self.error: InvalidInput | None = None

    @property
    def current(self) -> EventsConfig:
        """What the file says, or said when it was last without errors."""
        if self._path is not None and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK
            self._read(self._path)
        return self._config

    def at_start(self) -> EventsConfig:
        """What the file says, for a process that starts: nothing is in force yet, and the defaults are not what was meant.

        Raises the file's error.
        """
        config = self.current
        if self.error is not None:
            raise self.error
        return config

    def _read(self, path: Path) -> None:
        try:
            facts = path.stat()
        except OSError:
            self._stamp, self._config, self.error = None, EventsConfig(), None
            return
        stamp = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._config = parse(path.read_text(encoding="utf-8"), str(path))
        except (InvalidInput, OSError, UnicodeDecodeError) as error:
            self.error = error if isinstance(error, InvalidInput) else InvalidInput(f"{path}: {error}.")
            told = self.error.violations[:20]
            log.warning("events.configuration_refused", file=str(path), error=str(error), violations=told)
        else:
            self.error = None
            log.info("events.configuration_read", file=str(path), topics=len(self._config.topics))
