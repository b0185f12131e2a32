"""What remote workers send and get, in camelCase."""

from __future__ import annotations

import mimetypes
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from opsplane.files import ObjectStore, clean_file_name
from opsplane.tasks.api.requests import Name, Short
from opsplane.tasks.context import Claim
from opsplane.tasks.outcome import Failure
from opsplane.tasks.remote import Ask, Told
from opsplane.tasks.remote.returns import Line
from opsplane.tasks.task import ResultFile

SPARE = 300.0  # seconds a URL outlives its attempt's timeout
LONGEST_URL = 7 * 86400.0  # no store signs for longer
RESULT_TYPE = "application/octet-stream"

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Token = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Tokens = Annotated[list[Token], msgspec.Meta(max_length=10_000)]
Text = Annotated[str, msgspec.Meta(max_length=10_000)]


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A body of the worker protocol."""


class ClaimBody(Body, frozen=True, kw_only=True):
    """What a worker asks for. `workerId` comes from its first claim's answer; without it the worker is registered anew.

    `holding` are the tokens of everything it has not had the end of confirmed: what else it was given is handed back,
    for that answer never came.
    """

    worker: Name
    task_types: Annotated[list[Short], msgspec.Meta(min_length=1, max_length=100)]
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    lease_seconds: Annotated[float, msgspec.Meta(ge=5, le=300)] = 30.0
    wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=30)] = 0.0
    worker_id: Annotated[int, msgspec.Meta(ge=1, lt=2**31)] | None = None
    holding: Tokens | None = None
    host: Annotated[str, msgspec.Meta(max_length=200)] = ""
    pid: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0

    def ask(self) -> Ask:
        """The same for the engine."""
        return Ask(
            name=self.worker,
            types=frozenset(self.task_types),
            limit=self.limit,
            wait=self.wait_seconds,
            lease=self.lease_seconds,
            number=self.worker_id,
            holding=None if self.holding is None else frozenset(self.holding),
            host=self.host.replace("\x00", "\ufffd"),
            pid=self.pid,
        )


class HeartbeatBody(Body, frozen=True, kw_only=True):
    """A worker is there, and asks about these tokens; `stopping`: it will claim no more."""

    worker_id: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
    tokens: Tokens = []
    stopping: bool = False


class LeaveBody(Body, frozen=True, kw_only=True):
    """A worker stops; what it holds is handed back."""

    worker_id: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]


class Counts(Body, frozen=True, kw_only=True):
    """How far a task is; what is left out stays as it is."""

    total_records: Count | None = None
    processed_records: Count | None = None
    failed_records: Count | None = None
    message: Text | None = None

    def told(self) -> Told:
        """The same for the engine."""
        return Told(
            total=self.total_records,
            processed=self.processed_records,
            failed=self.failed_records,
            message=self.message,
        )


class TaskProgressBody(Counts, frozen=True, kw_only=True):
    """How far a task is; with `token` only the attempt of that claim may tell it."""

    token: Token | None = None


class LogBody(Body, frozen=True, kw_only=True):
    """A line of a task's log, of the time at which it arrives."""

    message: Text
    level: Literal["debug", "info", "warning", "error"] = "info"
    fields: dict[str, Any] | None = None

    def line(self) -> Line:
        """The same for the engine."""
        return Line(message=self.message, level=self.level, fields=self.fields)


class ProgressBody(Counts, frozen=True, kw_only=True):
    """How far the attempt of a claim is, and lines of its log."""

    id: Short
    token: Token
    logs: Annotated[list[LogBody], msgspec.Meta(max_length=1000)] = []


class FileBody(Body, frozen=True, kw_only=True):
    """The file that was put to `resultUploadUrl`: how a download is called."""

    file_name: Short
    content_type: Annotated[
        str, msgspec.Meta(pattern=r"^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+(; ?[A-Za-z0-9=.+-]+)?$")
    ]
    rows: Count | None = None

    def file(self, key: str) -> ResultFile:
        """The result file below its key."""
        return ResultFile(key, clean_file_name(self.file_name), self.content_type, self.rows)


class CompleteBody(Counts, frozen=True, kw_only=True):
    """The work of a claim is done."""

    id: Short
    token: Token
    result: dict[str, Any] | None = None
    result_file: FileBody | None = None


class FailBody(Body, frozen=True, kw_only=True):
    """The attempt of a claim failed; without `retry` the task fails, whatever retries are left."""

    id: Short
    token: Token
    error_kind: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]
    message: Text = ""
    retry: bool = True
    retry_after_seconds: Annotated[float, msgspec.Meta(ge=0, le=7 * 86400)] | None = None

    def failure(self) -> Failure:
        """The same for the engine."""
        message = self.message.replace("\x00", "\ufffd")
        return Failure(
            kind=self.error_kind, message=message, retry=self.retry, after=self.retry_after_seconds
        )


class ClaimView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A task that is now the worker's; the URLs need no bearer token and hold until `urlsExpireAt`."""

    id: str
    token: int
    task_type: str
    params: Any
    attempt: int
    retry_count: int
    max_retries: int
    timeout_seconds: float
    queue: str
    tenant: str
    entity_type: str | None
    requested_by: str | None
    traceparent: str | None
    created_at: datetime
    file_name: str | None
    input_file_url: str | None
    result_upload_url: str
    result_upload_headers: dict[str, str]
    urls_expire_at: datetime


class ClaimsView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The tasks a worker was given, and until when it must have called again."""

    worker_id: int
    lease_until: datetime
    lease_seconds: float
    claims: list[ClaimView]


class PulseView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which of the tokens are still held, which of these were asked to stop, and which were taken away."""

    lease_until: datetime
    held: list[int]
    cancel: list[int]
    lost: list[int]


class HeardView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Progress was written; `cancel`: the task was asked to stop."""

    cancel: bool


class EndView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of the task; `againInSeconds` when it is tried again."""

    id: str
    status: str
    again_in_seconds: float | None = None


class LeftView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many tasks were handed back."""

    handed_back: int


async def claim_view(claim: Claim, objects: ObjectStore) -> ClaimView:
    """The claim for its worker, with the URLs of its files."""
    lifetime = min(claim.timeout + SPARE, LONGEST_URL)
    upload = await objects.presign_put(
        result_key(claim.tenant, claim.id, claim.token), RESULT_TYPE, expires=lifetime
    )
    input_url = None
    if claim.input_key is not None:
        name = clean_file_name(claim.file_name or "input")
        kind = mimetypes.guess_type(name)[0] or RESULT_TYPE
        input_url = (await objects.presign_get(claim.input_key, name, kind, expires=lifetime)).url
    computed = {
        "params": msgspec.json.decode(claim.params),
        "timeout_seconds": claim.timeout,
        "input_file_url": input_url,
        "result_upload_url": upload.url,
        "result_upload_headers": dict(upload.headers),
        "urls_expire_at": upload.expires_at,
    }
    names = ClaimView.__struct_fields__
    return ClaimView(**{name: computed[name] if name in computed else getattr(claim, name) for name in names})


def result_key(tenant: str, task_id: str, token: int) -> str:
    """Where the attempt of a claim puts its result: each has a place of its own, so none overwrites another's."""
    return f"{tenant}/{task_id}/result-{token}.bin"
