"""The command `opsplane`: finds the noun, runs it, turns errors into messages and exit codes.

0 done · 1 failed · 2 wrong usage · 3 a check has findings · 4 unreachable · 5 denied · 130 interrupted
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import cyclopts

from opsplane.errors import OpsplaneError

NOUNS = {
    "up": "Start everything.",
    "down": "Stop everything, keep the data.",
    "status": "Show every engine and role with its health.",
    "check": "Find what is wrong, with the command that repairs it.",
    "doctor": "Look for what could keep the platform from running.",
    "reset": "Delete an installation with all its data.",
    "logs": "Show the log of an engine or role.",
    "run": "Run roles in this process.",
    "token": "Issue bearer tokens.",
    "route": "Explain, test and lint the gateway's routes.",
    "demo": "Show the platform at work.",
    "event": "Publish, show and trace events.",
    "topic": "List, show and rebuild topics.",
    "consumer": "List, pause and resume consumer groups.",
    "breaker": "List circuit breakers, hold them open, close and reset them.",
    "dlq": "List, show, edit, replay, discard and move dead letters.",
    "schema": "Show, compare, register and promote the schemas of events.",
    "task": "List, explain, follow, cancel and retry tasks; fetch their results.",
    "callback": "Show and rotate the secrets that sign tasks' callbacks.",
    "worker": "List the workers that run tasks.",
    "schedule": "List, make, pause and run schedules of tasks.",
    "queue": "List, pause, resume and set queues of tasks.",
    "limit": "List, set and lift limits on how many tasks run or start.",
    "import": "Import files into the services' entities.",
    "export": "Export the services' entities to files.",
}
MODULES = {"import": "imports", "export": "exports"}  # of nouns that are words of Python, and their like
FAILED, USAGE, FINDINGS, UNREACHABLE, DENIED, INTERRUPTED = 1, 2, 3, 4, 5, 130
EXIT_CODES = {401: DENIED, 403: DENIED, 503: UNREACHABLE}


def build() -> cyclopts.App:
    """The command line with every noun, none of them imported yet."""
    app = cyclopts.App(
        name="opsplane",
        help="The operations plane of a microservice platform.",
        version=lambda: importlib.metadata.version("opsplane"),
        result_action="return_value",
    )
    for noun, summary in NOUNS.items():
        app.command(f"opsplane.cli.{MODULES.get(noun, noun)}:app", name=noun, help=summary)
    return app


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and leave with its exit code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of the command, its messages printed."""
    try:
        result = build()(arguments, exit_on_error=False)
        sys.stdout.flush()
    except cyclopts.CycloptsError:
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OpsplaneError as error:
        _raise_when_debugging()
        _tell(error)
        return EXIT_CODES.get(error.status, FAILED)
    except Exception as error:  # noqa: BLE001 - the last place where one can be turned into a message
        _raise_when_debugging()
        return _tell_unforeseen(error)
    return result if isinstance(result, int) else 0


def _tell(error: OpsplaneError) -> None:
    lines = [f"✗ {error.message}"]
    lines += [f"  {'  '.join(map(str, each.values()))}" for each in getattr(error, "violations", [])]
    lines += [f"  │ {line}" for line in getattr(error, "lines", [])]
    if error.remedy:
        lines.append(f"  {error.remedy}")
    print("\n".join(lines), file=sys.stderr)


def _tell_unforeseen(error: Exception) -> int:
    kind = type(error).__name__
    if isinstance(error, ConnectionError) or _is_any(
        error, {"httpx": "TransportError", "psycopg": "OperationalError"}
    ):
        print(f"✗ Cannot reach the platform: {error or kind}", file=sys.stderr)
        print("  See what runs with: opsplane status", file=sys.stderr)
        return UNREACHABLE
    print(f"✗ {kind}: {error}", file=sys.stderr)
    print("  This was not foreseen. OPSPLANE_DEBUG=1 shows where it came from.", file=sys.stderr)
    return FAILED


def _is_any(error: Exception, classes: dict[str, str]) -> bool:
    """Whether it is an instance of one of the named classes, without importing their modules."""
    loaded: list[Any] = [
        getattr(sys.modules[module], name) for module, name in classes.items() if module in sys.modules
    ]
    return isinstance(error, tuple(loaded))


def _raise_when_debugging() -> None:
    from opsplane.config import debugging

    if debugging():
        raise  # noqa: PLE0704 - called while the exception is handled
