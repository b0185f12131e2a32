"""Files: object stores, bulk import with a ledger, streamed export."""

from __future__ import annotations

from opsplane.files.entity import Column, Entity, EntityRejected
from opsplane.files.exporting import ExportReport, run_export
from opsplane.files.importing import ImportOptions, ImportReport, Progress, WorkCancelled, run_import
from opsplane.files.limits import LimitExceeded, Limits
from opsplane.files.names import clean_file_name, content_disposition
from opsplane.files.selection import Selection
from opsplane.files.sink import Sink
from opsplane.files.sinks.table import TableSink
from opsplane.files.store import NoSuchObject, ObjectInfo, ObjectStore, OutOfSpace, SignedUrl, StoredObject
from opsplane.files.stores import open_store
from opsplane.files.stores.local import LocalStore
from opsplane.files.upload_api import upload_handlers

__all__ = [
    "Column", "Entity", "EntityRejected", "ExportReport", "ImportOptions", "ImportReport", "LimitExceeded", "Limits",
    "LocalStore", "NoSuchObject", "ObjectInfo", "ObjectStore", "OutOfSpace", "Progress", "Selection", "SignedUrl",
    "Sink", "StoredObject", "TableSink", "WorkCancelled", "clean_file_name", "content_disposition", "open_store",
    "run_export", "run_import", "upload_handlers",
]  # fmt: skip
