"""Operations: the API of tasks, and the duties that keep them going."""

from __future__ import annotations

from opsplane.app.composition import Composition, Part, asking, migrate_operations
from opsplane.database import append_audit
from opsplane.events import Outbox
from opsplane.files import LocalStore, upload_handlers
from opsplane.resilience import Duty
from opsplane.service import task_types
from opsplane.tasks import (
    BulkBook,
    BulkRunner,
    Dispatcher,
    Joiner,
    LimitBook,
    Producer,
    Pruner,
    RemoteWork,
    Rescuer,
    ScheduleBook,
    Scheduler,
    Sweeper,
    TaskControl,
    TaskGauges,
    TaskStore,
)
from opsplane.tasks.api import LiveTasks, TaskDesk, UploadHook, handlers
from opsplane.tasks.callbacks import CallbackBook, CallbackPolicy
from opsplane.tasks.callbacks.post import Post
from opsplane.tasks.callbacks.sender import CallbackSender
from opsplane.tasks.callbacks.signing import SigningSecrets


async def part(composition: Composition) -> Part:
    """The part of the operations API and its duties."""
    wanted = composition.settings.callbacks
    policy = CallbackPolicy.of(http=wanted.http, ports=wanted.ports, allow=wanted.allow)
    secrets = SigningSecrets(composition.settings.callback_secrets)
    pool, objects = await composition.pool("operations"), composition.objects()
    await migrate_operations(pool)
    doorbell = composition.doorbell(pool)
    outbox = Outbox(composition.schemas, "operations", doorbell)
    types = task_types(composition.services.values())
    control, store = TaskControl(pool, outbox, doorbell), TaskStore(pool)
    live, producer = LiveTasks(pool, doorbell), Producer(pool, types, outbox, doorbell)
    scheduler = Scheduler(producer, control, doorbell)
    remote = RemoteWork(pool, types, outbox, doorbell)
    desk = TaskDesk(
        store=store,
        producer=producer,
        control=control,
        limits=LimitBook(pool, doorbell),
        bulk=BulkBook(pool, doorbell),
        schedules=ScheduleBook(producer, doorbell),
        scheduler=scheduler,
        live=live,
        remote=remote,
        objects=objects,
        audit=append_audit(pool),
        callbacks=policy,
    )
    served = list(handlers(desk))
    if isinstance(objects, LocalStore):
        served += upload_handlers(objects, UploadHook(store, objects, control))
    duties: list[Duty] = [
        live,
        remote.dealer,
        composition.relay("operations", pool),
        Rescuer(pool, types, doorbell=doorbell, outbox=outbox),
        Sweeper(pool, objects, control),
        Joiner(pool, control, doorbell),
        Dispatcher(pool, doorbell),
        BulkRunner(pool, outbox, doorbell),
        TaskGauges(pool),
        scheduler,
        CallbackSender(CallbackBook(pool), secrets, Post(policy)),
        Pruner(pool, objects),
        *await composition.following(),
    ]
    return Part("operations", asking(pool), served, duties)
