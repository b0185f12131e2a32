"""A real Prometheus that scrapes what a test serves; skipped where Debian's package is not installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from opsplane.embedded.ports import free_ports


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`; skips the test where it is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install prometheus")
    return found


def check_metrics(text: bytes) -> None:
    """Return when promtool finds nothing to say about a role's metrics."""
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stderr.decode()) == (0, "")


class Prometheus:
    """A running server and its query API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The instant vector: `metric` and `value` of each series."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": promql})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def value(self, promql: str) -> float:
        """The one value of a query; 0 where there is no series yet."""
        found = self.query(promql)
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else 0.0


@contextmanager
def scraping(directory: Path, targets: Mapping[str, str]) -> Iterator[Prometheus]:
    """A Prometheus that scrapes each target (job → host:port) four times a second, until the block ends."""
    binary, port = program("prometheus"), free_ports(1)[0]
    jobs = [{"job_name": job, "static_configs": [{"targets": [place]}]} for job, place in targets.items()]
    settings = {"global": {"scrape_interval": "250ms", "scrape_timeout": "250ms"}, "scrape_configs": jobs}
    (directory / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
    command = [
        binary,
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory)
    try:
        deadline = time.monotonic() + 30
        while not _ready(f"http://127.0.0.1:{port}"):
            written = (directory / "prometheus.log").read_text()
            assert process.poll() is None, written
            assert time.monotonic() < deadline, written
            time.sleep(0.05)
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(20)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False
