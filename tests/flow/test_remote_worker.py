"""A worker in another language on a running installation: by its gateway, with a token of the command line."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.flow.platform import Platform, eventually, started
from tests.node import NodeWorker, needs_node

pytestmark = needs_node
TASKS = "/api/v1/operations/tasks"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with started(tmp_path_factory.mktemp("remote") / "state") as platform:
        yield platform


@pytest.fixture
def staff(platform: Platform) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {platform.token('operations_staff')}"}
    with httpx.Client(base_url=platform.url, headers=headers, timeout=20.0) as client:
        yield client


@pytest.fixture
def node(platform: Platform, tmp_path: Path) -> Iterator[NodeWorker]:
    worker = NodeWorker(platform.url, platform.token("task_worker"), tmp_path, "invoices")
    yield worker
    worker.end()


def render(staff: httpx.Client, *lines: str, pause: int = 0) -> str:
    params = {"lines": lines, "pauseMs": pause}
    answer = staff.post(TASKS, json={"taskType": "invoice.render", "params": params})
    return str(answer.raise_for_status().json()["id"])


def ended(staff: httpx.Client, task_id: str) -> str:
    def final() -> str | None:
        task = staff.get(f"{TASKS}/{task_id}").raise_for_status().json()
        return task["status"] if task["completedAt"] else None

    return str(eventually(final))


def test_it_renders_what_was_ordered_and_the_file_is_fetched_by_the_gateway(
    staff: httpx.Client, node: NodeWorker
) -> None:
    ids = [render(staff, f"order {number}", "tea – 茶") for number in range(20)]
    assert {ended(staff, task_id) for task_id in ids} == {"completed"}
    texts = []
    for task_id in ids:
        link = staff.get(f"{TASKS}/{task_id}/download").raise_for_status().json()
        texts.append(staff.get(link["url"]).raise_for_status().text)
    assert texts == [f"1. order {number}\n2. tea – 茶\n" for number in range(20)]
    assert sorted(node.said("completed")) == sorted(ids)


def test_a_cancelled_task_is_stopped_and_a_stopped_worker_leaves(
    staff: httpx.Client, node: NodeWorker
) -> None:
    task_id = render(staff, *("a line",) * 600, pause=100)
    eventually(lambda: node.said("started"))
    staff.post(f"{TASKS}/{task_id}/cancel", json={}).raise_for_status()
    assert ended(staff, task_id) == "cancelled"
    node.send(signal.SIGTERM)
    assert node.process.wait(20) == 0
