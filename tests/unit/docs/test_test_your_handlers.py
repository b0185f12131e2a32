"""The how-to's files are run by pytest as they stand, and `opsplane.testing` keeps what the page promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import opsplane.testing
from opsplane.resilience import Retry
from opsplane.tasks import TaskContext, task
from opsplane.testing import EventRecorder, NotDone, TaskBench

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "test-your-handlers.md").read_text(encoding="utf-8")
_FILE = re.compile(r"`([\w./]+\.(?:py|ini|json))`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
tried: list[tuple[str, int]] = []


@task("try", emit="ends", retry=Retry(3, "10ms"), isolation="process")
async def attempt(ctx: TaskContext, params: dict[str, Any]) -> None:
    tried.append((ctx.id, ctx.attempt))
    ctx.check()
    if ctx.attempt <= params.get("failures", 0):
        raise ValueError("not yet")


@pytest.fixture
async def bench(database: str) -> Any:
    tried.clear()
    async with TaskBench.open(database, [attempt]) as found:
        yield found


def test_the_files_of_the_page_pass(tmp_path: Path) -> None:
    files = dict(_FILE.findall(PAGE))
    assert len(files) == 5
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_the_page_names_everything_there_is() -> None:
    for name in opsplane.testing.__all__:
        assert name in PAGE, name


async def test_a_handler_runs_once_and_again_when_asked(bench: TaskBench) -> None:
    first = await bench.run("try", {"failures": 2})
    assert (first.status, first.retry_count, len(tried)) == ("pending", 1, 1)
    second = await bench.attempt(first.id)
    assert (second.status, second.retry_count, len(tried)) == ("pending", 2, 2)
    assert (await bench.attempt(first.id)).status == "completed"
    assert tried == [(first.id, number) for number in (1, 2, 3)]


async def test_what_does_not_run_says_why(bench: TaskBench) -> None:
    await bench.control.pause("default", "olga")
    made = await bench.create("try")
    with pytest.raises(NotDone, match="paused"):
        await bench.attempt(made.id, seconds=0.5)
    assert tried == []


async def test_what_was_published_is_recorded_until_it_is_forgotten(bench: TaskBench) -> None:
    await bench.run("try")
    assert await bench.events.types() == ["operations.task.completed"]
    await bench.events.forget()
    assert await bench.events.types() == []
    await bench.run("try")
    assert [event.type for event in await bench.events.events("*.completed")] == ["operations.task.completed"]
    assert await bench.events.events("order.*") == []
    assert len(await EventRecorder(bench.pool).events()) == 2
