"""Run the benchmarks and write RESULTS.md: `python -m benchmarks.run [--only events,tasks,files,gateway]`.

Each section keeps its last figures in `results/<section>.json`, so that one may be measured again alone.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SECTIONS = ("gateway", "events", "tasks", "files")


def main() -> None:
    """Measure the sections asked for, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    wanted = parser.parse_args().only.split(",")
    unknown = sorted(set(wanted) - set(SECTIONS))
    if unknown:
        parser.error(f"there is no section {', '.join(unknown)}; sections are {', '.join(SECTIONS)}")
    for name in wanted:
        print(f"{name} …", flush=True)
        began = time.monotonic()
        found = importlib.import_module(f"benchmarks.{name}").run()
        _keep(name, found, time.monotonic() - began)
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    (HERE / "RESULTS.md").write_text("\n".join(_page()) + "\n", encoding="utf-8")
    print(f"written: {HERE / 'RESULTS.md'}")


def _keep(name: str, found: Mapping[str, Any], seconds: float) -> None:
    directory = HERE / "results"
    directory.mkdir(exist_ok=True)
    stamped = {
        "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seconds": round(seconds),
        **_machine(),
        **found,
    }
    (directory / f"{name}.json").write_text(json.dumps(stamped, indent=2, ensure_ascii=False) + "\n")


def _machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return {
        "machine": f"{os.cpu_count()} cores, {memory} GiB, {platform.machine()}, Python {platform.python_version()}"
    }


def _page() -> Iterator[str]:
    yield "# Benchmark results"
    yield ""
    yield "Written by `make bench`. Figures of one section come from one run, interleaved with the peers where there are"
    yield "any, and compare; those of two runs do not. How each is measured stands at the top of its module."
    for name in SECTIONS:
        path = HERE / "results" / f"{name}.json"
        if path.exists():
            yield from _section(name, json.loads(path.read_text()))


def _section(name: str, found: dict[str, Any]) -> Iterator[str]:
    yield f"\n## {name.title()}\n"
    yield f"{found.pop('at')}, {found.pop('machine')}, took {found.pop('seconds')} s.\n"
    goals, ceilings = found.pop("goals", {}), found.pop("ceilings", {})
    notes = found.pop("notes", [])
    for title, table in found.items():
        yield from _table(title, table, goals, ceilings)
    yield from (f"- {note}" for note in notes)


def _table(
    title: str, table: Mapping[str, Any], goals: Mapping[str, Any], ceilings: Mapping[str, Any]
) -> Iterator[str]:
    nested = any(isinstance(value, Mapping) for value in table.values())
    if nested:
        columns = sorted({key for value in table.values() for key in value})
        yield f"| {title} | {' | '.join(columns)} |"
        yield "|---" * (len(columns) + 1) + "|"
        for name, values in table.items():
            yield f"| {name} | {' | '.join(_number(values.get(key, '')) for key in columns)} |"
        yield ""
        return
    yield f"| {title} | found | goal | of the goal |"
    yield "|---|---:|---:|---:|"
    for name, value in table.items():
        yield f"| {name} | {_number(value)} | {_distance(value, goals.get(name), ceilings.get(name))} |"
    yield ""


def _distance(value: float, goal: Any, ceiling: Any) -> str:
    if isinstance(goal, int | float):
        return f"≥ {_number(goal)} | {value / goal:.2f} {'met' if value >= goal else 'missed'}"
    if isinstance(ceiling, int | float):
        return f"≤ {_number(ceiling)} | {'met' if value <= ceiling else f'missed, {value / ceiling:.2f} ×'}"
    return " | "


def _number(value: Any) -> str:
    if isinstance(value, float | int) and abs(value) >= 1000:
        return f"{value:,.0f}"
    return str(value)


if __name__ == "__main__":
    main()
