from __future__ import annotations

import os
from pathlib import Path

from opsplane.embedded import Report


class Progress:
    """Prints a line for each process of a start as it becomes ready, and in the end what to try."""

    def __init__(self, state: Path, url: str) -> None:
        self._state = state
        self._url = url
        self._shown: set[str] = set()
        self._line("object store", 0.0, here(state / "objects"))

    def show(self, report: Report) -> None:
        """Print what became ready since the last time."""
        if "everything" in self._shown or report.state not in ("starting", "ready"):
            return
        for process in report.processes:
            if process.health == "healthy" and process.name not in self._shown:
                self._shown.add(process.name)
                place = here(process.place) if process.place.startswith("/") else process.place
                self._line(process.title, process.seconds or 0.0, place)
        if report.state == "ready":
            self._shown.add("everything")
            print(self._welcome(report.seconds or 0.0), flush=True)

    def _line(self, title: str, seconds: float, place: str) -> None:
        print(f"✓ {title:<44} {seconds:4.1f}s   {place}".rstrip(), flush=True)

    def _welcome(self, seconds: float) -> str:
        option = state_option(self._state)
        return "\n".join(
            [
                f"Ready in {seconds:.1f}s",
                f"  API      {self._url}/api/v1        docs at {self._url}/docs",
                f"  Try      opsplane demo run{option}",
                "             one order: request → event → consumers → export task → result file",
                f"           opsplane status{option}",
                "             every engine and role with its health",
                f"  Stop     opsplane down{option}",
            ]
        )


def here(path: str | Path) -> str:
    """A path as short as it can be said from the current directory."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def state_option(state: Path) -> str:
    """` --state DIR` as a command needs it to find the installation from here; nothing for the default one."""
    return "" if state == Path.cwd() / ".opsplane" else f" --state {here(state)}"
