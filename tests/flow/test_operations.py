"""Operations as their users do them: a task through the API and the command line, files in and out."""

from __future__ import annotations

import base64
import csv
import hmac
import io
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from tests.flow.plain_client import PlainClient
from tests.flow.platform import Platform, eventually, started

BASE = "/api/v1/operations"
GERMAN = 'Artikel;Name;Kategorie;Preis;Währung;Lager\nt-1;Tee "grün" 茶;food;2.50;EUR;5\nt-2;"Kaffee; stark";food;7.10;EUR;6\n'
MAPPED = [
    f"--map={pair}" for pair in ("Artikel=sku", "Kategorie=category", "Preis=price", "Währung=currency", "Lager=stock")
]  # fmt: skip
UNCLOSED = (
    'sku,name,category,price,currency\nu-1,Tea,food,1,EUR\nu-2,"never closed,food,1,EUR\nu-3,Tea,food,1,EUR\n'
)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with started(tmp_path_factory.mktemp("operations") / "state") as platform:
        yield platform


def client(platform: Platform, role: str, sub: str) -> httpx.Client:
    token = platform.run("token", "issue", "--role", role, "--sub", sub).stdout.strip()
    return httpx.Client(base_url=platform.url, headers={"Authorization": f"Bearer {token}"}, timeout=20.0)


def products(platform: Platform, prefix: str) -> list[dict[str, Any]]:
    dsn = json.loads((platform.state / "installation.json").read_text())["databases"]["catalog"]
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "select sku, name, category, price::text, currency, stock::text from product"
            " where starts_with(sku, %s) order by sku",
            [prefix],
        )
        names = [column.name for column in rows.description or []]
        return [dict(zip(names, row, strict=True)) for row in rows]


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_an_import_ends_in_the_table_and_its_export_equals_it(platform: Platform, tmp_path: Path) -> None:
    file = write(tmp_path / "tea.csv", GERMAN)
    done = platform.run("import", "start", "product", file, *MAPPED, "--wait")
    assert dict(line.split(maxsplit=1) for line in done.stdout.splitlines())["appliedRows"] == "2"
    stored = products(platform, "t-")
    assert [(row["name"], row["price"], row["stock"]) for row in stored] == [
        ('Tee "grün" 茶', "2.500", "5"),
        ("Kaffee; stark", "7.100", "6"),
    ]
    target = tmp_path / "out.csv"
    platform.run("export", "start", "product", "--filter", "sku~t-", "--to", str(target))
    with target.open(encoding="utf-8-sig", newline="") as out:
        exported = [{name: row[name] for name in stored[0]} for row in csv.DictReader(out)]
    assert exported == stored
    kept = platform.run("export", "start", "product", "--to", str(target), check=False)
    assert (kept.returncode, "--force" in kept.stderr) == (1, True)


def test_a_client_written_from_the_table_of_calls_alone_imports_and_exports(platform: Platform) -> None:
    rows = (
        b"sku,name,category,price,currency\np-1,Tea,food,1,EUR\np-2,Tea,food,free,EUR\np-3,Tea,food,3,EUR\n"
    )
    with closing(PlainClient(platform.url, platform.token("catalog_staff"))) as plain:
        done = plain.finished(plain.create("product.import", {"policy": "skip"}, ("tea.csv", rows)))
        assert (done["status"], done["successRecords"], done["failedRecords"]) == ("completed", 2, 1)
        assert plain.download(done["id"], "input") == rows
        assert b"p-2,Tea,food,free,EUR" in plain.download(done["id"], "errors")
        exported = plain.finished(plain.create("product.export", {}))
        found = csv.DictReader(io.StringIO(plain.download(exported["id"]).decode("utf-8-sig")))
    assert {row["sku"] for row in found if row["sku"].startswith("p-")} == {"p-1", "p-3"}


def test_an_unclosed_quote_refuses_the_file_and_nothing_is_applied(
    platform: Platform, tmp_path: Path
) -> None:
    file, errors = write(tmp_path / "bad.csv", UNCLOSED), tmp_path / "refused.csv"
    done = platform.run("import", "start", "product", file, "--wait", "--errors", str(errors), check=False)
    assert done.returncode == 1
    assert "quote is not closed" in done.stderr
    assert products(platform, "u-") == []
    [refused] = csv.DictReader(io.StringIO(errors.read_text(encoding="utf-8-sig")))
    assert (refused["error_line"], refused["error_code"]) == ("3", "unclosed_quote")


def test_a_policy_applies_the_good_rows_or_none(platform: Platform, tmp_path: Path) -> None:
    rows = "sku,name,category,price,currency\ns-1,Tea,food,1,EUR\ns-2,Tea,food,free,EUR\n"
    file = write(tmp_path / "some.csv", rows)
    looked = platform.run(
        "import", "start", "product", file, "--policy", "validate-only", "--wait", "-o", "json"
    )
    assert json.loads(looked.stdout)["failedRecords"] == 1
    assert products(platform, "s-") == []
    platform.run("import", "start", "product", file, "--policy", "skip", "--wait")
    assert [row["sku"] for row in products(platform, "s-")] == ["s-1"]


def test_refused_rows_are_corrected_in_the_error_file_and_every_row_is_there_once(
    platform: Platform, tmp_path: Path
) -> None:
    rows = ["Artikel;name;Kategorie;Preis;Währung"]
    rows += [
        f"c-{number};Tee {number};food;{'gratis' if number in (2, 5, 7) else number};EUR"
        for number in range(1, 9)
    ]
    file = tmp_path / "cp1252.csv"
    file.write_bytes("\n".join([*rows, ""]).encode("cp1252"))
    done = platform.run(
        "import", "start", "product", str(file), *MAPPED[:4], "--policy", "skip", "--encoding", "cp1252",
        "--delimiter", ";", "--wait", "-o", "json",
    )  # fmt: skip
    parent = json.loads(done.stdout)
    assert (parent["result"]["appliedRows"], parent["result"]["failedRows"]) == (5, 3)
    refused = tmp_path / "refused.csv"
    platform.run("task", "result", parent["id"], "--file", "errors", "--to", str(refused))
    text = refused.read_text(encoding="utf-8-sig")
    assert text.count("gratis") >= 3
    refused.write_text(text.replace(",gratis,", ",9,", 2), encoding="utf-8")  # one is forgotten
    again = platform.run("import", "retry-failed", parent["id"], str(refused), "--wait", "-o", "json")
    child = json.loads(again.stdout)
    assert (child["parentId"], child["taskType"], child["params"]["mapping"]) == (
        parent["id"], "product.import", parent["params"]["mapping"],
    )  # fmt: skip
    assert (child["result"]["appliedRows"], child["result"]["failedRows"]) == (2, 1)
    rest = tmp_path / "rest.csv"
    platform.run("task", "result", child["id"], "--file", "errors", "--to", str(rest))
    rest.write_text(rest.read_text(encoding="utf-8-sig").replace(",gratis,", ",9,"), encoding="utf-8")
    platform.run("import", "retry-failed", child["id"], str(rest), "--wait")
    stored = products(platform, "c-")
    assert [row["sku"] for row in stored] == [f"c-{number}" for number in range(1, 9)]
    assert [float(row["price"]) for row in stored] == [1, 9, 3, 4, 9, 6, 9, 8]
    nothing = platform.run("import", "retry-failed", parent["id"], str(tmp_path / "no.csv"), check=False)
    assert nothing.returncode == 1
    with client(platform, "catalog_staff", "clara") as clara:
        path = f"{BASE}/tasks/{parent['id']}/retry-failed-rows"
        assert clara.post(path, json={"fileName": "a.csv"}).status_code in (403, 404)
    with client(platform, "operations_staff", "x") as staff:
        exported = platform.run("export", "start", "product").stdout.strip()
        answer = staff.post(f"{BASE}/tasks/{exported}/retry-failed-rows", json={"fileName": "a.csv"})
        assert (answer.status_code, "only imports" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["import", "start", "produkt", "tea.csv"], ["product", "customer"]),
        (["import", "start", "order", "tea.csv"], ["order", "product"]),
        (["import", "start", "product", "nowhere.csv"], ["nowhere.csv"]),
        (["export", "start", "order", "--filter", "totl>=1"], ["'total'"]),
        (["task", "show", "01a20e00-0000-7000-8000-000000000000"], ["no task"]),
        (["task", "ls", "--since", "yesterday"], ["yesterday"]),
    ],
)
def test_a_mistake_is_told_with_what_there_is(
    platform: Platform, arguments: list[str], words: list[str]
) -> None:
    done = platform.run(*arguments, check=False)
    assert done.returncode == 1
    assert all(word in done.stderr for word in words), done.stderr


def test_a_mapping_to_no_column_names_the_nearest(platform: Platform, tmp_path: Path) -> None:
    file = write(tmp_path / "tea.csv", GERMAN)
    done = platform.run("import", "start", "product", file, "--map", "Preis=prise", check=False)
    assert (done.returncode, "'price'" in done.stderr) == (1, True)


def test_a_paused_queue_holds_its_tasks_until_it_is_resumed(platform: Platform) -> None:
    workers = json.loads(platform.run("worker", "ls", "-o", "json").stdout)
    assert ("worker", None, None) in [(one["name"], one["owner"], one["goneAt"]) for one in workers]
    platform.run("queue", "pause", "payment", "--reason", "maintenance")
    task_id = platform.run("export", "start", "payment").stdout.strip()
    queues = json.loads(platform.run("queue", "ls", "-o", "json").stdout)
    [paused] = [queue for queue in queues if queue["name"] == "payment"]
    assert (paused["paused"], paused["reason"], paused["pending"]) == (True, "maintenance", 1)
    with client(platform, "operations_staff", "x") as staff:
        assert staff.get(f"{BASE}/tasks/{task_id}").json()["status"] == "pending"
    told = platform.run("task", "explain", task_id).stdout
    assert "paused: The queue payment is paused by" in told
    assert "remedy opsplane queue resume payment" in told
    platform.run("queue", "resume", "payment")
    lines = [
        json.loads(line) for line in platform.run("task", "watch", task_id, "-o", "json").stdout.splitlines()
    ]
    assert lines[0]["event"] == "snapshot"
    shown = json.loads(platform.run("task", "show", task_id, "-o", "json").stdout)
    assert shown["status"] == "completed"
    assert shown["events"][0]["kind"] == "created"


def test_a_schedule_is_made_run_and_forgotten(platform: Platform) -> None:
    platform.run(
        "schedule",
        "put",
        "nightly",
        "--cron",
        "0 3 * * *",
        "--zone",
        "Europe/Berlin",
        "--type",
        "order.export",
    )
    platform.run("schedule", "run", "nightly", "--reason", "a test")
    shown = json.loads(platform.run("schedule", "show", "nightly", "-o", "json").stdout)
    assert [run["outcome"] for run in shown["runs"]] == ["created"]
    platform.run("task", "watch", shown["lastTask"])
    task = json.loads(platform.run("task", "show", shown["lastTask"], "-o", "json").stdout)
    assert (task["taskType"], task["status"]) == ("order.export", "completed")
    assert "scheduled_by" in [event["kind"] for event in task["events"]]
    platform.run("schedule", "pause", "nightly", "--reason", "a test")
    assert "nightly is paused" in platform.run("check", "operations", check=False).stdout
    platform.run("schedule", "resume", "nightly")
    assert "nightly" in platform.run("schedule", "ls").stdout
    wrong = platform.run(
        "schedule", "put", "nightly", "--cron", "0 25 * * *", "--type", "order.export", check=False
    )
    assert (wrong.returncode, "bad hour" in wrong.stderr) == (1, True)
    platform.run("schedule", "rm", "nightly")
    assert platform.run("schedule", "ls", "-o", "name").stdout == ""


def test_a_finished_task_is_told_to_an_allowed_receiver_of_this_network(platform: Platform) -> None:
    received: list[tuple[dict[str, str], bytes]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/done"
        body = {"taskType": "order.export", "callbackUrl": url}
        with client(platform, "operations_staff", "sam") as staff:
            assert staff.post(f"{BASE}/tasks", json=body).status_code == 400
            wanted = f"callbacks: {{http: true, ports: [{server.server_port}], allow: [127.0.0.1]}}\n"
            (platform.state / "opsplane.yaml").write_text(wanted)
            platform.run("down", "--only", "operations")
            platform.run("up", "--detach", "--only", "operations")
            made = eventually(lambda: _created(staff, body), 30)
        platform.run("task", "watch", made["id"])
        eventually(lambda: received)
        server.shutdown()
    headers, sent = received[0]
    assert json.loads(sent)["data"]["id"] == made["id"]
    secret = platform.run("callback", "secret").stdout.strip()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    told = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + sent
    signature = base64.b64encode(hmac.digest(key, told, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{signature}"
    shown = eventually(lambda: _delivered(platform, made["id"]))
    assert (shown["id"], shown["tries"], shown["lastStatus"]) == (headers["webhook-id"], 1, 204)
    again = json.loads(platform.run("task", "callback", made["id"], "--retry", "-o", "json").stdout)
    assert again[0]["id"] == shown["id"]
    logs = "".join(path.read_text(errors="replace") for path in (platform.state / "logs").glob("*.log"))
    assert secret not in logs


def _created(staff: httpx.Client, body: dict[str, Any]) -> dict[str, Any] | None:
    answer = staff.post(f"{BASE}/tasks", json=body)
    return dict(answer.json()) if answer.status_code == 201 else None


def _delivered(platform: Platform, task_id: str) -> dict[str, Any] | None:
    (found,) = json.loads(platform.run("task", "callback", task_id, "-o", "json").stdout)
    return dict(found) if found["state"] == "delivered" else None


def test_a_cancelled_task_is_told_and_never_runs(platform: Platform) -> None:
    platform.run("queue", "pause", "order")
    task_id = platform.run("export", "start", "order").stdout.strip()
    platform.run("task", "cancel", task_id, "--reason", "not needed")
    assert platform.run("task", "watch", task_id, check=False).returncode == 1
    assert "is cancelled" in platform.run("task", "cancel", task_id, check=False).stderr
    platform.run("queue", "resume", "order")
    listed = json.loads(platform.run("task", "ls", "--status", "cancelled", "-o", "json").stdout)
    assert [task["id"] for task in listed] == [task_id]
    with platform.store() as store:
        entries = eventually(lambda: store.xrange("operations.task.cancelled"))
    assert task_id in entries[0][1][b"data"].decode()


def test_many_tasks_are_cancelled_after_a_look_and_a_yes(platform: Platform) -> None:
    platform.run("queue", "pause", "catalog")
    ids = {platform.run("export", "start", "product").stdout.strip() for _ in range(3)}
    chosen = ("task", "cancel", "--type", "product.export", "--status", "pending")
    looked = platform.run(*chosen, "--dry-run", "-o", "json")
    found = json.loads(looked.stdout)
    assert (found["matched"], {task["id"] for task in found["sample"]}) == (3, ids)
    refused = platform.run(*chosen, check=False)
    assert (refused.returncode, "Give --yes" in refused.stderr) == (1, True)
    empty = platform.run("task", "cancel", "--yes", check=False)
    assert (empty.returncode, "--all" in empty.stderr) == (1, True)
    done = json.loads(platform.run(*chosen, "--yes", "--reason", "a test", "-o", "json").stdout)
    assert (done["taskType"], done["result"]["cancelled"]) == ("task.bulk", 3)
    platform.run("queue", "resume", "catalog")


def test_a_queue_is_drained_until_it_is_empty_and_refuses_new_tasks_until_it_is_resumed(
    platform: Platform,
) -> None:
    paused = platform.run("queue", "pause", "payment")
    assert f"resume payment --state {platform.state}" in paused.stderr
    task_id = platform.run("export", "start", "payment").stdout.strip()
    platform.run("queue", "resume", "payment")
    drained = platform.run("queue", "drain", "payment", "--wait", "--reason", "a test", "-o", "json")
    told = json.loads(drained.stdout)
    assert (told["draining"], told["unfinished"], "payment is empty" in drained.stderr) == (True, 0, True)
    assert json.loads(platform.run("task", "show", task_id, "-o", "json").stdout)["status"] == "completed"
    refused = platform.run("export", "start", "payment", check=False)
    assert (refused.returncode, "takes no new tasks" in refused.stderr) == (1, True)
    assert "payment is drained by" in platform.run("check", "operations", check=False).stdout
    platform.run("queue", "resume", "payment")
    platform.run("export", "start", "payment", "--wait")


def test_tasks_are_there_for_their_requester_and_for_staff(platform: Platform) -> None:
    with client(platform, "catalog_staff", "clara") as clara, client(platform, "catalog_staff", "bob") as bob:
        made = clara.post(f"{BASE}/tasks", json={"taskType": "product.export"})
        assert made.status_code == 201, made.text
        path = f"{BASE}/tasks/{made.json()['id']}"
        assert clara.get(path).status_code == 200
        assert bob.get(path).status_code == 404
        assert bob.post(f"{path}/cancel").status_code == 404
        assert bob.get(f"{BASE}/tasks").json()["data"] == []
        unknown = clara.post(f"{BASE}/tasks", json={"taskType": "produkt.export"})
        assert (unknown.status_code, unknown.json()["remedy"]) == (400, "Did you mean product.export?")
        assert clara.post(f"{BASE}/tasks", json={"taskType": "order.export"}).status_code == 403
    with client(platform, "operations_staff", "x") as staff:
        assert staff.get(path).status_code == 200
        assert staff.get(f"{BASE}/tasks", params={"status": "running"}).status_code == 200
    assert httpx.get(f"{platform.url}{BASE}/tasks").status_code == 401
