"""Invoices: the type of task is declared here, the work is done by a program in another language, such as `examples/worker.mjs`."""

from __future__ import annotations

import msgspec

from opsplane.resilience import Retry
from opsplane.tasks import remote_task


class InvoiceParams(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The lines of an invoice, and how many milliseconds the example rests before each of them."""

    lines: list[str]
    pause_ms: int = 0


render = remote_task("invoice.render", params=InvoiceParams, entity="invoice", retry=Retry(5), timeout="10m")
