"""A disk of a few megabytes that a test fills and frees: a tmpfs of its own, unmounted afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1024 * 1024


class SmallDisk:
    """A mounted disk; `leave` fills it but for so many bytes or files, `free` makes room again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    @property
    def room(self) -> int:
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def leave(self, room: int) -> None:
        taken = self.room - room
        assert taken > 0, f"the disk has no more than {self.room} bytes"
        self._ballast.mkdir(exist_ok=True)
        with (self._ballast / "bytes").open("ab") as file:
            os.posix_fallocate(file.fileno(), file.tell(), taken)

    def leave_files(self, count: int) -> None:
        self._ballast.mkdir(exist_ok=True)
        for number in range(os.statvfs(self.path).f_favail - count):
            (self._ballast / str(number)).touch()

    def free(self) -> None:
        shutil.rmtree(self._ballast)


@contextmanager
def small_disk(path: Path, size: int, files: int = 10_000) -> Iterator[SmallDisk]:
    """A disk of `size` bytes and so many files at `path`; the test is skipped where none can be mounted."""
    path.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", f"size={size},nr_inodes={files},mode=0755", "tmpfs", str(path)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", str(path)], check=True)
