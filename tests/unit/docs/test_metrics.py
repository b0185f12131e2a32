"""The page of metrics and the code say the same: every metric with its kind, labels and meaning."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "reference" / "metrics.md"
_ROW = re.compile(
    r"^\| `(?P<name>[a-z_]+)` \| (?P<kind>\w+) \|(?P<labels>[^|]*)\| (?P<meaning>[^|]*) \|", re.MULTILINE
)
_DECLARED = """
import importlib, json, pkgutil, opsplane
for module in pkgutil.walk_packages(opsplane.__path__, "opsplane."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from opsplane.telemetry import declared_metrics
print(json.dumps(declared_metrics()))
"""


def declared() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """What the code declares, in a process where no test has declared anything."""
    done = subprocess.run([sys.executable, "-c", _DECLARED], capture_output=True, check=True, cwd=ROOT)
    return msgspec.json.decode(done.stdout, type=dict[str, tuple[str, tuple[str, ...], str]])


def documented() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """What the page says."""
    return {
        row["name"]: (row["kind"], tuple(re.findall(r"`([a-z_]+)`", row["labels"])), row["meaning"].strip())
        for row in _ROW.finditer(PAGE.read_text(encoding="utf-8"))
    }


def test_page_and_code_name_the_same_metrics_with_the_same_labels_and_meaning() -> None:
    found = declared()
    assert len(found) > 20
    assert documented() == found
