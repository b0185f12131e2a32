"""Services as they are found by their entry points: what is refused, and to whom their task types belong."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from opsplane import service as declarations
from opsplane.errors import InvalidInput
from opsplane.service import Service, collect_services, task_types
from opsplane.tasks import TaskContext, task


@task("label.print")
async def print_label(ctx: TaskContext, params: dict[str, Any]) -> None:
    """Names no service."""


@task("label.count", service="elsewhere")
async def count_labels(ctx: TaskContext, params: dict[str, Any]) -> None:
    """Names another service than the one it is declared in."""


label = Service(
    name="label",
    database="label",
    package="opsplane.commerce.order",
    api=lambda runtime: [],
    resources=("labels",),
    tasks=(print_label, count_labels),
)
stamp = replace(label, name="stamp", database="stamp", resources=("stamps",), tasks=())
same_resource = replace(stamp, resources=("labels",))
same_database = replace(stamp, database="label")
same_type = replace(stamp, tasks=(print_label,))
no_service = object()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have these names of this module be the entry points there are."""

    def install(*names: str) -> None:
        found = [EntryPoint(name, f"{__name__}:{name}", declarations.GROUP) for name in names]
        monkeypatch.setattr(declarations.metadata, "entry_points", lambda group: found)

    return install


def test_a_type_is_its_services_own_whatever_it_names() -> None:
    assert {kind.name: (kind.service, kind.queue_name) for kind in task_types([label])} == {
        "label.print": ("label", "label"),
        "label.count": ("label", "label"),
    }


def test_services_are_found_in_the_order_of_their_names(installed: Any) -> None:
    installed("stamp", "label")
    assert list(collect_services()) == ["label", "stamp"]


@pytest.mark.parametrize(
    ("name", "claim"),
    [
        ("same_resource", "resource labels"),
        ("same_database", "database label"),
        ("same_type", "task type label.print"),
    ],
)
def test_two_services_that_claim_the_same_are_refused(installed: Any, name: str, claim: str) -> None:
    installed("label", name)
    with pytest.raises(InvalidInput, match=f"The services label and stamp both claim {claim}"):
        collect_services()


def test_what_is_no_service_is_named(installed: Any) -> None:
    installed("no_service")
    with pytest.raises(InvalidInput, match=r"entry point no_service .* names no opsplane.service.Service"):
        collect_services()


def test_what_does_not_load_is_named_with_its_cause(installed: Any) -> None:
    installed("missing")
    with pytest.raises(InvalidInput, match=r"The service missing .* does not load: .*missing"):
        collect_services()
