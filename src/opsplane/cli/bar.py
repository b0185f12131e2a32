"""A progress bar for one task or transfer, on standard error: drawn on a terminal, lines of text elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from opsplane.cli.output import note, printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """Shows how far something is while its `with` block runs."""

    def __init__(self, title: str, total: float | None = None, *, in_bytes: bool = False) -> None:
        self._title = title
        self._told = ""
        self._drawn: Progress | None = None
        self._row: TaskID | None = None
        if sys.stderr.isatty():
            self._drawn = _progress(in_bytes)
            self._row = self._drawn.add_task(title, total=total, message="")

    def __enter__(self) -> Bar:
        if self._drawn is not None:
            self._drawn.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn is not None:
            self._drawn.stop()

    def update(self, task: Mapping[str, Any]) -> None:
        """Show the task as the platform tells it: status, counts, message; what is missing stays as it was."""
        status, message = printable(task.get("status")), printable(task.get("message"))
        if self._drawn is not None and self._row is not None:
            self._drawn.update(
                self._row, completed=task.get("processedRecords", 0), total=task.get("totalRecords")
            )
            if status or message:
                left = task.get("etaSeconds")
                words = [status, message, "" if left is None else f"{left:.0f} s left"]
                self._drawn.update(self._row, message=" · ".join(filter(None, words)))
        elif status and status != self._told:
            self._told = status
            note(f"{self._title} is {status}")

    def advance(self, count: int) -> None:
        """So many bytes more are done."""
        if self._drawn is not None and self._row is not None:
            self._drawn.advance(self._row, count)

    def line(self, text: str) -> None:
        """Tell one thing beside the bar."""
        if self._drawn is not None:
            self._drawn.console.print(printable(text), markup=False, highlight=False)
        else:
            note(printable(text))


def _progress(in_bytes: bool) -> Progress:
    from rich import progress
    from rich.console import Console

    columns: list[progress.ProgressColumn | str] = ["{task.description}", progress.BarColumn()]
    if in_bytes:
        columns += [progress.DownloadColumn(), progress.TimeRemainingColumn()]
    else:  # what is left is told by the platform
        columns += [
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[message]}", markup=False),
        ]
    return progress.Progress(*columns, console=Console(stderr=True))
