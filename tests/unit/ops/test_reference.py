"""What the reference says about checks is what there is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import opsplane.ops
from opsplane.ops import AREAS, EVENTS, OPERATIONS, PLATFORM
from opsplane.ops.check import Finding, Report
from opsplane.ops.checks import ENGINES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "checks.md").read_text(encoding="utf-8")
RUNBOOK = re.compile(r"docs/runbooks/[\w-]+\.md")


def test_the_table_lists_every_check_in_its_area() -> None:
    table = PAGE.split("| area | check | finding |")[1].split("\n\n")[0]
    listed, area = [], ""
    for first, name in re.findall(r"^\| (\w*) ?\| ([a-z ]+(?: \(daily\))?) \|", table, re.MULTILINE):
        area = first or area
        listed.append((area, name))
    areas = {"every": ENGINES, "platform": PLATFORM, "events": EVENTS, "operations": OPERATIONS}
    assert listed == [
        (area, f"{check.name} (daily)" if check.daily else check.name)
        for area in areas
        for check in areas[area]
    ]
    assert "|".join(AREAS) in PAGE


def test_every_field_of_the_report_is_named() -> None:
    for name in (*Finding.__struct_fields__, *Report.__struct_fields__):
        assert f"`{name}`" in PAGE, name


def test_every_runbook_is_there_and_every_one_of_them_ends_with_when_it_is_well() -> None:
    room = Path(opsplane.ops.__file__).parent
    named = {one for path in room.rglob("*.py") for one in RUNBOOK.findall(path.read_text(encoding="utf-8"))}
    assert len(named) > 10
    for runbook in named:
        text = (ROOT / runbook).read_text(encoding="utf-8")
        assert "**You see**" in text, runbook
        assert "**It is well again**" in text, runbook


def test_the_scripts_for_cron_run_the_daily_check_and_hand_on_its_exit_code(tmp_path: Path) -> None:
    fake = tmp_path / "opsplane"
    fake.write_text('#!/bin/sh\necho "$@"\nexit 3\n')
    fake.chmod(0o755)
    scripts = {"daily-event-processing-check.sh": "events", "daily-task-orchestration-check.sh": "operations"}
    for script, area in scripts.items():
        assert f"scripts/{script}" in PAGE
        done = subprocess.run(
            [ROOT / "scripts" / script, "-o", "json"],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (3, f"check {area} --daily -o json\n")
