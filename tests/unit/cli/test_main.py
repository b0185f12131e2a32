from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from opsplane.cli.main import NOUNS, run


def opsplane(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "opsplane", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )


def test_version_is_printed_without_importing_the_platform() -> None:
    code = "import sys; from opsplane.cli.main import run; run(['--version']); print(*sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    version, modules = out.splitlines()
    assert version.count(".") == 2
    assert not {"psycopg", "litestar", "httpx", "redis", "yaml", "opsplane.embedded"} & set(modules.split())


def test_version_comes_fast() -> None:
    best = 9.0
    for _ in range(3):
        began = time.monotonic()
        opsplane("--version")
        best = min(best, time.monotonic() - began)
    assert best < 2.0  # the goal is 250 ms on an idle machine


def test_help_lists_every_noun(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(noun in out for noun in NOUNS)


@pytest.mark.parametrize("arguments", [["status", "--stat"], ["logs"], ["reset", "--yes=maybe"]])
def test_wrong_usage_is_2_and_on_standard_error(arguments: list[str]) -> None:
    done = opsplane(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr


def test_error_is_a_message_with_remedy_and_no_traceback(tmp_path: Path) -> None:
    done = opsplane("status", "--state", str(tmp_path / "none"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"✗ There is no installation in {tmp_path / 'none'}.",
        f"  Start one with: opsplane up --state {tmp_path / 'none'}",
    ]


def test_debugging_shows_the_traceback(tmp_path: Path) -> None:
    done = opsplane("status", "--state", str(tmp_path / "none"), OPSPLANE_DEBUG="1")
    assert "Traceback" in done.stderr
    assert done.returncode == 1


def test_state_comes_from_the_environment(tmp_path: Path) -> None:
    done = opsplane("status", OPSPLANE_STATE=str(tmp_path / "elsewhere"))
    assert str(tmp_path / "elsewhere") in done.stderr


def test_closed_pipe_is_quiet() -> None:
    command = f"{sys.executable} -P -m opsplane --help | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
