"""The demo, as a newcomer runs it: one order with every hop, then customers at a rate."""

from __future__ import annotations

import json
from pathlib import Path

from tests.flow.platform import started


def test_every_hop_of_the_demo_does_what_it_should_and_every_order_becomes_final(tmp_path: Path) -> None:
    with started(tmp_path / "state") as platform:
        report = json.loads(platform.run("demo", "run", "-o", "json").stdout)
        assert report["ok"]
        assert [hop["name"] for hop in report["hops"] if not hop["ok"]] == []
        seeded, *_, compared = report["hops"]
        assert seeded["detail"] == {"products": 10_000, "customers": 2_000, "imported": True}
        assert compared["name"] == "result equals database"
        load = json.loads(platform.run("demo", "load", "--orders", "60", "--rate", "30", "-o", "json").stdout)
        assert sum(load["outcomes"].values()) == 60
        assert load["errors"] == {}
        assert load["unfinished"] == 0


def test_a_hop_that_fails_is_named(tmp_path: Path) -> None:
    with started(tmp_path / "state") as platform:
        platform.run("demo", "run")
        platform.run("down", "--only", "search")
        failed = platform.run("demo", "run", "-o", "json", check=False)
        report = json.loads(failed.stdout)
        assert failed.returncode == 1
        assert not report["ok"]
        assert report["failed"] is not None
