"""doctor, down, logs, reset and status on an installation that was prepared but has no roles."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsplane.cli.logs import rank
from opsplane.cli.main import run
from opsplane.embedded import prepare, read_report, remove, report, supervisor_pid
from opsplane.embedded.ports import free_ports

SUPERVISE = """
import asyncio, sys
from pathlib import Path
from opsplane.embedded import Command, Process, Supervisor, held
state = Path(sys.argv[1])
def ticking(name, *members):
    return Process(name=name, kind="role", log=state / "logs" / f"{name}.log", members=members, ready=lambda _: True,
        urls={one: "http://127.0.0.1:1" for one in members},
        command=lambda active: Command((sys.executable, "-uc", "import time\\nfor n in range(10**6): print(n); time.sleep(.05)"), state))
with held(state):
    asyncio.run(Supervisor(state, [ticking("worker", "worker"), ticking("commerce", "order", "search")]).run())
"""


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    state = tmp_path / "state"
    prepare(state, free_ports(1)[0], "")
    yield state
    remove(state)


@pytest.fixture
def running(state: Path) -> Iterator[Path]:
    process = subprocess.Popen([sys.executable, "-c", SUPERVISE, str(state)])
    end = time.monotonic() + 30
    while not ((current := read_report(state)) and current.state == "ready"):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    yield state
    if supervisor_pid(state) is not None:
        process.terminate()
    assert process.wait(30) == 0


def read(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_status_of_a_stopped_installation_is_4(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = read(capsys, "status", "--state", str(state), "-o", "json")
    assert code == 4
    assert json.loads(out)["phase"] == "stopped"
    assert "does not run" in err


def test_status_lists_roles_with_health_pid_and_url(
    running: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = read(capsys, "status", "--state", str(running), "-o", "json")
    document = json.loads(out)
    assert code == 0
    assert document["phase"] == "ready"
    assert document["pid"] == supervisor_pid(running)
    services = {row["name"]: row for row in document["services"]}
    assert set(services) == {"worker", "order", "search"}
    assert services["order"]["pid"] == services["search"]["pid"] != services["worker"]["pid"]
    assert all(row["health"] == "healthy" and row["url"].startswith("http://") for row in services.values())


def test_down_only_stops_a_role_and_down_stops_all(running: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(capsys, "down", "--state", str(running), "--only", "search")[0] == 0
    _, out, _ = read(capsys, "status", "--state", str(running), "-o", "json")
    healths = {row["name"]: row["health"] for row in json.loads(out)["services"]}
    assert healths == {"worker": "healthy", "order": "healthy", "search": "stopped"}
    code, _, err = read(capsys, "down", "--state", str(running), "--only", "serch")
    assert code == 1
    assert "did you mean search?" in err
    assert read(capsys, "up", "--state", str(running), "--only", "search")[0] == 0
    assert read(capsys, "down", "--state", str(running))[0] == 0
    assert supervisor_pid(running) is None
    assert read(capsys, "down", "--state", str(running))[0] == 0


def test_reset_refuses_while_running_and_without_confirmation(
    running: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = read(capsys, "reset", "--yes", "--state", str(running))
    assert code == 1
    assert "nothing was deleted" in err
    assert (running / "installation.json").exists()


def test_reset_asks_and_deletes(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert read(capsys, "reset", "--state", str(state))[0] == 1
    assert (state / "installation.json").exists()
    assert read(capsys, "reset", "--yes", "--state", str(state))[0] == 0
    assert not state.exists()


def test_reset_leaves_a_directory_that_is_no_installation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").touch()
    assert read(capsys, "reset", "--yes", "--state", str(tmp_path))[0] == 1
    assert (tmp_path / "thesis.txt").exists()


def test_doctor_is_content_with_a_good_installation(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = read(capsys, "doctor", "--state", str(state), "-o", "json")
    findings = json.loads(out)
    assert code == 0, findings
    assert {"python", "postgres", "valkey", "envoy", "disk", "gateway port"} <= {
        one["check"] for one in findings
    }


def test_doctor_finds_open_passwords_and_a_killed_supervisor(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / "installation.json").chmod(0o644)
    report.write_report(state, report.Report(1, 1, "ready", "", None, []))
    code, out, _ = read(capsys, "doctor", "--state", str(state), "-o", "json")
    bad = {one["check"]: one for one in json.loads(out) if one["result"] != "ok"}
    assert code == 3
    assert set(bad) == {"passwords", "supervisor"}
    assert bad["passwords"]["remedy"].startswith("chmod 600")


def test_logs_filters_by_pattern_level_and_count(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        '{"level": "info", "event": "a"}',
        '{"level": "error", "event": "b"}',
        "2026 LOG:  c",
        "2026 ERROR:  d",
    ]
    (state / "logs" / "worker.log").write_text("\n".join(lines) + "\n")
    where = ("--state", str(state))
    assert read(capsys, "logs", "worker", *where)[1].splitlines() == lines
    assert read(capsys, "logs", "worker", *where, "-n", "1")[1].splitlines() == lines[3:]
    assert read(capsys, "logs", "worker", *where, "--level", "error")[1].splitlines() == [lines[1], lines[3]]
    assert read(capsys, "logs", "worker", *where, "--grep", "a|c")[1].splitlines() == [lines[0], lines[2]]
    code, _, err = read(capsys, "logs", "wroker", *where)
    assert code == 1
    assert "There are logs of: worker" in err


def test_logs_follows_a_role_in_its_process(running: Path) -> None:
    argv = [
        sys.executable,
        "-P",
        "-m",
        "opsplane",
        "logs",
        "search",
        "-f",
        "-n",
        "0",
        "--state",
        str(running),
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout
        first, second = int(follower.stdout.readline()), int(follower.stdout.readline())
        follower.terminate()
    assert second == first + 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[2026][warning][main] x", 2),
        ("12:M 24 Nov * Ready", 1),
        ('{"level":"debug"}', 0),
        ("x FATAL:  y", 3),
    ],
)
def test_severity_is_understood_whatever_wrote_the_line(line: str, expected: int) -> None:
    assert rank(line) == expected


def test_the_secret_that_signs_callbacks_is_printed_rotated_and_finished(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def secrets() -> list[str]:
        code, out, _ = read(capsys, "callback", "secret", "--state", str(state))
        assert code == 0
        return out.split()

    (first,) = secrets()
    assert first.startswith("whsec_")
    assert read(capsys, "callback", "rotate", "--state", str(state))[0] == 0
    second, *rest = secrets()
    assert rest == [first]
    assert second != first
    code, out, err = read(capsys, "callback", "rotate", "--finish", "--state", str(state))
    assert (code, secrets()) == (0, [second])
    assert second not in out + err
    path = state / "keys" / "callbacks.txt"
    assert path.stat().st_mode & 0o077 == 0
    path.unlink()
    assert read(capsys, "callback", "secret", "--state", str(state))[0] == 1
    assert read(capsys, "callback", "rotate", "--state", str(state))[0] == 0
    assert len(secrets()) == 1
